"""The simulated press line behaves as a plant does, and the demo manifests fit it."""

from __future__ import annotations

import asyncio
import csv
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient

from collectors.simulate import signals
from collectors.simulate.modbus import Device, serve
from collectors.simulate.press_line import COMMISSIONED_AT, UNITS
from tests.simulators.modbus_peer import against, connected

DESIRED = Path(__file__).parents[2] / "desired"
TIMES = st.floats(0, 1e9)


def test_values_move_and_follow_from_the_time_alone() -> None:
    now = [COMMISSIONED_AT + 1000.0]

    def clock() -> float:
        return now[0]

    async def look(client: AsyncModbusTcpClient) -> tuple[int, int, int, bool]:
        pressure = (await client.read_input_registers(0, count=1, device_id=1)).registers[0]
        energy = (await client.read_holding_registers(100, count=2, device_id=1)).registers
        pieces = (await client.read_holding_registers(102, count=2, device_id=1)).registers
        door = (await client.read_discrete_inputs(0, count=1, device_id=1)).bits[0]
        return pressure, energy[0] << 16 | energy[1], pieces[1] << 16 | pieces[0], door

    async def main() -> None:
        async with (
            serve(clock=clock) as one,
            serve(clock=clock) as other,
            connected(one.port) as client,
            connected(other.port) as second,
        ):
            seen = []
            for _ in range(120):
                seen.append(await look(client))
                assert await look(second) == seen[-1]
                now[0] += 1.0
        pressures, energies, pieces, doors = zip(*seen, strict=True)
        assert min(pressures) < 100
        assert 1300 < max(pressures) < 1600
        assert list(energies) == sorted(energies)
        assert energies[-1] > energies[0]
        assert pieces[-1] - pieces[0] in {9, 10}
        assert set(doors) == {True, False}

    asyncio.run(main())


@given(TIMES, st.floats(0, 1e6))
def test_consumption_only_grows(t: float, later: float) -> None:
    meter = signals.consumed(6.1)
    assert meter(t + later) >= meter(t)


@given(TIMES, st.integers(0, 1000))
def test_a_swing_stays_within_its_bounds_and_noise(t: float, seed: int) -> None:
    assert 9.5 <= signals.swing(10, 20, 60, noise=0.5, seed=seed)(t) <= 20.5


@given(st.integers(0, 1_000_000), st.integers(0, 1000))
def test_a_door_opens_once_in_its_time(window: int, seed: int) -> None:
    door = signals.now_and_then(60, 6, seed=seed)
    states = [door(window * 60 + tenth / 10) for tenth in range(600)]
    assert 59 <= sum(states) <= 61
    assert sum(a != b for a, b in pairwise(states)) in {1, 2}


@given(TIMES)
def test_a_machine_is_in_each_state_for_its_duration(t: float) -> None:
    assert signals.phases((5, 6), (1.0, 2.0))(t) == (5 if t % 3 < 1 else 6)


@pytest.mark.parametrize("unit", UNITS)
@given(t=st.floats(0, 3e8))
def test_every_register_holds_a_value_that_fits_it(unit: int, t: float) -> None:
    for table in UNITS[unit].values():
        assert all(0 <= cell <= 0xFFFF for cell in table.read(0, table.size, t))


WORDS = {"int16": 1, "uint16": 1, "bcd16": 1, "int32": 2, "uint32": 2, "float32": 2, "bcd32": 2}
WORDS |= {"int64": 4, "uint64": 4, "float64": 4}
REFERENCES = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}


def tags_of_devices() -> list[tuple[int, dict[str, Any]]]:
    """Unit id and tag of everything that the demo's Modbus collector reads."""
    spec = yaml.safe_load((DESIRED / "press-line.yaml").read_text(encoding="utf-8"))["spec"]
    common = list(spec["tags"])
    for table in spec["tagsFrom"]:
        with (DESIRED / table).open(encoding="utf-8", newline="") as file:
            common += csv.DictReader(file)
    return [(d["unitId"], tag) for d in spec["devices"] for tag in [*common, *d.get("tags", [])]]


def place(tag: dict[str, Any]) -> tuple[str, int, int]:
    """Area, zero-based address and width of a tag."""
    area, colon, digits = str(tag["address"]).partition(":")
    address = int(digits) if colon else int(area[1:]) - 1
    area = area if colon else REFERENCES[area[0]]
    width = int(tag["length"]) // 2 if tag["type"] == "string" else WORDS.get(tag["type"], 1)
    return area, address, width * int(tag.get("count") or 1)


def test_every_address_of_the_demo_manifest_holds_something() -> None:
    tags = tags_of_devices()
    assert len({tag["name"] for _, tag in tags}) >= 20
    for unit, tag in tags:
        area, address, width = place(tag)
        points = next(table for name, table in UNITS[unit].items() if name == area).points
        covered = {at for point in points for at in range(point.start, point.start + point.width)}
        assert covered >= set(range(address, address + width)), (unit, tag)


def test_every_tag_of_the_demo_manifest_can_be_read_by_an_independent_client() -> None:
    async def check(device: Device, client: AsyncModbusTcpClient) -> None:
        read = {
            "coil": client.read_coils,
            "discrete": client.read_discrete_inputs,
            "input": client.read_input_registers,
            "holding": client.read_holding_registers,
        }
        for unit, tag in tags_of_devices():
            area, address, width = place(tag)
            reply = await read[area](address, count=width, device_id=unit)
            assert not reply.isError(), (unit, tag)

    against(check)


def test_values_read_as_the_demo_manifest_says_are_plausible() -> None:
    async def check(device: Device, client: AsyncModbusTcpClient) -> None:
        async def holding(start: int, count: int) -> list[int]:
            return list((await client.read_holding_registers(start, count=count, device_id=2)).registers)

        flow = (await client.read_input_registers(22, count=2, device_id=2)).registers
        (flow_value,) = struct.unpack(">f", struct.pack("<2H", *flow))
        assert 33 < flow_value < 39
        total = await holding(110, 4)
        (force,) = struct.unpack("<d", struct.pack(">4H", *total))
        pieces = await holding(102, 2)
        assert force == pytest.approx(812.5 * (pieces[1] << 16 | pieces[0]), rel=1e-6)
        speed = int(f"{(await holding(4, 1))[0]:x}")
        assert speed == 0 or 1430 < speed < 1485
        batch = await holding(6, 2)
        assert 26_000_000 < int(f"{batch[0]:04x}{batch[1]:04x}") < 26_100_000
        recipe = struct.pack(">8H", *await holding(10, 8)).rstrip(b"\0").decode()
        assert recipe in {"GEAR-A4 齿轮", "RING-B2", "PLATE-C7"}

    against(check)
