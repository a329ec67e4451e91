"""A collector process against a device on TCP: what it reads, and what it does when the device fails."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import EXIT_CONFIG, EXIT_STOPPED, LiveFile, to_json, write_json
from collectors.simulate.memory import Point, Table
from collectors.simulate.modbus import serve
from collectors.simulate.modbus_faults import Faults
from collectors.simulate.modbus_frames import Area, Memory
from tests.collectors.running import collector, until
from tests.collectors.test_decode import encode


def memory(areas: Mapping[Area, Mapping[int, Sequence[int]]]) -> Memory:
    """Constant words (or bits) at zero-based addresses."""
    return {
        area: Table(
            2000, [Point(start, len(words), partial(_always, words)) for start, words in held.items()]
        )
        for area, held in areas.items()
    }


def _always(words: Sequence[int], _: float) -> Sequence[int]:
    return words


WORDS = memory({"holding": {i: [100 + i] for i in range(200)}, "coil": {0: [1, 0, 1]}})


def modbus(port: int, *tags: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {
        "type": "modbus",
        "interval": "100ms",
        "deviceDefaults": {"host": "127.0.0.1", "port": port, "timeout": "300ms"},
        "devices": [{"unitId": 1}],
        "tags": list(tags) or [{"name": "x", "address": "holding:5", "type": "uint16"}],
        **over,
    }


def test_every_type_order_bit_and_array_reaches_the_outbox_as_it_stands_in_the_device(tmp_path: Path) -> None:
    truth: dict[str, Any] = {}
    held: dict[int, list[int]] = {}
    tags: list[dict[str, Any]] = []
    values = {
        "int16": -1234, "uint16": 65535, "int32": -70000, "uint32": 4_000_000_000, "int64": -(2**62),
        "uint64": 2**63 - 1, "float32": 23.5, "float64": 0.1, "bcd16": 1234, "bcd32": 98765432,
    }  # fmt: skip
    at = 0
    for kind, value in values.items():
        for order in ("ABCD", "CDAB", "BADC", "DCBA"):
            words = encode(kind, order, value)
            held[at] = words
            tags.append({"name": f"{kind}_{order}", "address": f"holding:{at}", "type": kind, "order": order})
            truth[f"{kind}_{order}"] = value
            at += len(words)
    held |= {500: [234], 501: [0x8001], 510: [1, 2, 3], 520: [0x4142, 0x4300]}
    tags += [
        {"name": "scaled", "address": "400501", "type": "uint16", "scale": 0.1},
        {"name": "bit", "address": "40502.15"},
        {"name": "alarms", "address": "40502", "type": "uint16", "bits": {"0": "hot", "1": "open"}},
        {"name": "row", "address": "40511", "type": "int16", "count": 3, "names": ["a", "b", "c"]},
        {"name": "text", "address": "40521", "type": "string", "length": 4},
        {"name": "coils", "address": "coil:0", "count": 3},
    ]
    truth |= {"scaled": 23.4, "bit": True, "hot": True, "open": False, "a": 1, "b": 2, "c": 3, "text": "ABC"}
    truth |= {"coils_0": True, "coils_1": False, "coils_2": True}

    async def main() -> None:
        async with serve({1: memory({"holding": held, "coil": {0: [1, 0, 1]}})}) as device:
            spec = modbus(device.port, *tags, measurement="m", devices=[{"labels": {"hall": "A"}}])
            began_ns = time.time_ns()
            async with collector(tmp_path, spec) as running:
                await until(lambda: len(running.rows("m")) > 8, "two cycles")
                assert await running.stop() == EXIT_STOPPED
                ended_ns = time.time_ns()
                rows = running.rows("m")
                assert {k: v for _, _, fields, _ in rows for k, v in fields.items()} == truth
                assert {type(v) for _, _, fields, _ in rows for k, v in fields.items() if k == "scaled"} == {
                    float
                }
                assert all(t == {"collector": "press", "device": "press", "hall": "A"} for _, t, _, _ in rows)
                assert all(began_ns < at_ns < ended_ns for *_, at_ns in rows)
                assert running.rows("daq_quality") == []
                report = running.report()
                assert report and report.cycled and report.devices[0].connected
                assert report.points["plant"].acquired == sum(len(fields) for _, _, fields, _ in rows)

    asyncio.run(main())


def test_slow_tags_are_read_in_their_own_slots_only(tmp_path: Path) -> None:
    tags = [
        {"name": "fast", "address": "holding:5", "type": "uint16"},
        {"name": "slow", "address": "holding:6", "type": "uint16", "every": "1s"},
    ]

    async def main() -> None:
        async with serve({1: WORDS}) as device, collector(tmp_path, modbus(device.port, *tags)) as running:
            await until(lambda: len(running.rows()) > 25, "25 cycles")
            slow = [at for _, _, fields, at in running.rows() if "slow" in fields]
            fast = [at for _, _, fields, at in running.rows() if "fast" in fields]
            assert 3 <= len(slow) <= 4
            assert len(fast) > 25
            assert all(abs(b - a - 1e9) < 0.3e9 for a, b in pairwise(slow[1:]))

    asyncio.run(main())


def test_slots_missed_by_a_slow_device_are_counted_and_not_made_up_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serve({1: WORDS}, faults=Faults(delay_s=0.15)) as device,
            collector(tmp_path, modbus(device.port)) as running,
        ):
            await until(lambda: len(running.rows()) >= 6, "6 cycles")
            await running.stop()
            report = running.report()
            assert report and report.devices[0].late_cycles >= 5
            assert device.requests == len(running.rows())
            times = [at for *_, at in running.rows()]
            assert min(b - a for a, b in pairwise(times)) > 150_000_000

    asyncio.run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_everything_written(tmp_path: Path, number: signal.Signals) -> None:
    async def main() -> None:
        async with serve({1: WORDS}) as device, collector(tmp_path, modbus(device.port)) as running:
            await until(running.rows, "a reading")
            assert await running.stop(number) == EXIT_STOPPED
            report = running.report()
            assert report and report.points["plant"].acquired == len(running.rows())
            assert report.devices[0].reads == len(running.rows())

    asyncio.run(main())


def test_a_changed_sink_takes_only_new_points(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve({1: WORDS}) as device, collector(tmp_path, modbus(device.port)) as running:
            await until(running.rows, "a reading")
            write_json(running.state.live("press"), to_json(LiveFile(sinks=("other",))))
            await until(lambda: running.routes() == ["plant", "other"], "points of it")
            await running.stop()
            report = running.report()
            assert report
            assert report.points["plant"].acquired + report.points["other"].acquired == len(running.rows())

    asyncio.run(main())


def test_a_wrong_configuration_is_told_and_exits_78(tmp_path: Path) -> None:
    async def main() -> None:
        tag = {"name": "x", "address": "5", "type": "uint16"}
        async with collector(tmp_path, modbus(1, tag)) as running:
            assert await running.process.wait() == EXIT_CONFIG
            said = running.state.log("press").read_text()
            assert " - collectors - ERROR - cannot run press: tags.0.address: '5' does not say" in said

    asyncio.run(main())


def test_a_protocol_that_does_not_exist_is_a_wrong_configuration(tmp_path: Path) -> None:
    async def main() -> None:
        async with collector(tmp_path, {**modbus(1), "type": "profibus"}) as running:
            assert await running.process.wait() == EXIT_CONFIG
            assert "cannot find a protocol named 'profibus'" in running.state.log("press").read_text()

    asyncio.run(main())
