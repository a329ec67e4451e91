"""How late cycles begin where other devices are dead, beside the same plant with all of them alive.

One of ten links is black-holed (its SYN packets are dropped), and three of twenty units are silent behind a gateway
that takes one connection. Lateness counts from the beginning of a slot to the middle of the request.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

from collectors.schedule import Slots
from collectors.simulate.modbus import serve
from collectors.simulate.modbus_faults import Faults
from tests.bench.collecting import libmodbus
from tests.bench.rows import Row
from tests.collectors.running import Outcome, collector, until
from tests.collectors.test_collecting import WORDS

INTERVAL_MS = 1000
CYCLES = 15
LINKS = 10
UNITS = 20
DEAD = (4, 11, 18)
SETTLED = 3
"""Cycles until a dead unit is known to be one."""


class Lateness(NamedTuple):
    """Of the cycles of live devices: seconds, and slots without one."""

    p99_s: float
    worst_s: float
    cycles: int
    missed: int


@contextmanager
def black_hole() -> Iterator[int]:
    """A port whose backlog is full: who connects gets no answer at all."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def lateness(running: Outcome, devices: Sequence[str], *, skip: int = 0) -> Lateness:
    """Of these devices, without their first `skip` cycles (the first of all begins between two slots)."""
    slots = Slots.of(running.name, INTERVAL_MS)
    late: list[float] = []
    missed = 0
    for device in devices:
        times = [at for *_, at in running.rows(device=device)][1 + skip :]
        indices = [slots.index(at) for at in times]
        late += [(at - slots.at(index)) / 1e9 for at, index in zip(times, indices, strict=True)]
        missed += indices[-1] - indices[0] + 1 - len(indices)
    late.sort()
    return Lateness(late[ceil(0.99 * len(late)) - 1], late[-1], len(late), missed)


def _spec(devices: Sequence[dict[str, Any]], timeout: str) -> dict[str, Any]:
    return {
        "type": "modbus",
        "interval": f"{INTERVAL_MS}ms",
        "deviceDefaults": {"host": "127.0.0.1", "timeout": timeout},
        "devices": devices,
        "tags": [{"name": "x", "address": "holding:5", "type": "uint16", "count": 100}],
    }


async def beside_a_black_hole(root: Path, *, dead: bool, cycles: int = CYCLES) -> Lateness:
    """Nine live links, and a tenth that is black-holed if `dead`."""
    with libmodbus(LINKS if not dead else LINKS - 1) as ports, black_hole() as hole:
        found = [*ports[: LINKS - 1], hole if dead else ports[-1]]
        devices = [{"name": f"d{n}", "port": port} for n, port in enumerate(found)]
        live = [f"d{n}" for n in range(LINKS - 1)]
        async with collector(root, _spec(devices, "3s"), "links") as running:
            await until(running.report, "a start")
            await asyncio.sleep((1 + cycles) * INTERVAL_MS / 1000)
            return lateness(running, live)


async def behind_a_gateway(
    root: Path, dead: Sequence[int] = DEAD, *, patience: str, cycles: int = CYCLES
) -> Lateness:
    """Twenty units of one link, some of them silent: the others, once that is known."""
    units = dict.fromkeys(range(1, UNITS + 1), WORDS)
    async with serve(units, faults=Faults(silent_units=frozenset(dead))) as device:
        devices = [{"name": f"u{n}", "unitId": n, "port": device.port} for n in units]
        async with collector(root, _spec(devices, patience), "units") as running:
            await until(running.report, "a start")
            await asyncio.sleep((1 + SETTLED + cycles) * INTERVAL_MS / 1000)
            assert len(device.connections) == 1
            return lateness(running, [f"u{n}" for n in units if n not in dead], skip=SETTLED)


def run() -> list[Row]:
    """Worst cases beside those of the same plant without anything dead."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        hole = asyncio.run(beside_a_black_hole(root / "a", dead=True))
        sound = asyncio.run(beside_a_black_hole(root / "b", dead=False))
        alive = asyncio.run(behind_a_gateway(root / "c", (), patience="300ms"))
        rows = [Row("1 of 10 links dead: p99 lateness of the 9", "all 10 alive", hole.p99_s, sound.p99_s)]
        for timeout, cycles in (("300ms", CYCLES), ("3s", 3 * CYCLES)):
            found = asyncio.run(behind_a_gateway(root / timeout, patience=timeout, cycles=cycles))
            print(f"3 of 20 units dead, timeout {timeout}: of the other 17, {found.cycles} cycles, "
                  f"{found.missed} slots missed, worst lateness {found.worst_s * 1e3:.0f} ms")  # fmt: skip
            what = f"3 of 20 units dead ({timeout}): p99 of the 17"
            rows.append(Row(what, "all 20 alive", found.p99_s, alive.p99_s))
    print(f"1 of 10 links dead: of the other 9, {hole.cycles} cycles, {hole.missed} slots missed, "
          f"p99 {hole.p99_s / INTERVAL_MS * 1e3:.1%} of the interval")  # fmt: skip
    return rows
