"""A collector process beside devices that die, fall silent, refuse, garble or close."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collectors.simulate.modbus import serve
from collectors.simulate.modbus_faults import Faults
from tests.collectors.running import collector, until
from tests.collectors.test_collecting import WORDS, modbus


def test_a_device_that_dies_and_returns_is_read_again_without_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve({1: WORDS}) as device:
            port = device.port
            spec = modbus(port)
            running_context = collector(tmp_path, spec)
            running = await running_context.__aenter__()
            try:
                await until(running.rows, "a reading")
                await until(running.is_connected, "connected")
            except BaseException:
                await running_context.__aexit__(None, None, None)
                raise
        try:
            await until(lambda: not running.is_connected(), "disconnected")
            await until(lambda: running.qualities("x"), "stale")
            assert [quality for quality, _ in running.qualities("x")] == ["stale"]
            died_ns = time.time_ns()
            async with serve({1: WORDS}, port=port):
                await until(lambda: running.rows()[-1][3] > died_ns, "a new reading")
                await until(running.is_connected, "connected again")
                assert [quality for quality, _ in running.qualities("x")] == ["stale", "good"]
                assert running.process.returncode is None
        finally:
            await running_context.__aexit__(None, None, None)

    asyncio.run(main())


def test_a_dead_host_never_delays_a_live_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve({1: WORDS}) as live, serve(faults=Faults(silent_units=frozenset({1}))) as dead:
            devices = [
                {"name": "dead", "port": dead.port, "timeout": "2s"},
                {"name": "live", "port": live.port},
            ]
            async with collector(tmp_path, modbus(0, devices=devices)) as running:
                await until(lambda: len(running.rows(device="live")) > 25, "25 cycles")
                times = [at for *_, at in running.rows(device="live")]
                assert max(b - a for a, b in pairwise(times)) < 1e9
                assert not running.rows(device="dead")
                assert not running.is_connected(0)
                assert running.is_connected(1)

    asyncio.run(main())


def test_a_dead_unit_costs_the_others_on_its_link_two_timeouts_and_then_only_probes(tmp_path: Path) -> None:
    async def main() -> None:
        faults = Faults(silent_units=frozenset({1}))
        async with serve({1: WORDS, 2: WORDS}, faults=faults) as device:
            devices = [{"name": "dead", "unitId": 1}, {"name": "live", "unitId": 2}]
            async with collector(tmp_path, modbus(device.port, devices=devices)) as running:
                await until(lambda: len(running.rows(device="live")) > 30, "30 cycles")
                times = [at for *_, at in running.rows(device="live")]
                waits = [b - a for a, b in pairwise(times)]
                assert sum(wait > 250_000_000 for wait in waits) <= 2
                assert max(waits) < 1e9
                assert len(device.connections) == 1
                report = running.report()
                said = "cannot read holding:5 of dead: no answer within 0.3 s"
                assert report and report.devices[0].last_error == said

    asyncio.run(main())


@pytest.mark.e2e
def test_a_dead_unit_that_answers_a_probe_is_read_again(tmp_path: Path) -> None:
    async def main() -> None:
        faults = Faults(silent_units=frozenset({1}))
        async with serve({1: WORDS, 2: WORDS}, faults=faults) as device:
            devices = [{"name": "dead", "unitId": 1}, {"name": "live", "unitId": 2}]
            async with collector(tmp_path, modbus(device.port, devices=devices)) as running:
                await until(lambda: len(running.rows(device="live")) > 10, "10 cycles")
                device.faults = Faults()
                await until(lambda: len(running.rows(device="dead")) > 10, "10 cycles", 20.0)

    asyncio.run(main())


def test_a_device_that_closes_idle_links_is_read_in_every_slot(tmp_path: Path) -> None:
    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            request = await reader.readexactly(12)
            writer.write(request[:4] + b"\0\5" + request[6:8] + b"\2\0\7")
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(answer_once, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with collector(tmp_path, modbus(port)) as running:
                await until(lambda: len(running.rows()) > 10, "10 cycles")
                assert running.qualities("x") == []
                report = running.report()
                assert report and report.devices[0].errors == 0

    asyncio.run(main())


def test_a_device_that_comes_up_late_is_read_when_it_is_there_not_a_slot_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve({1: WORDS}) as device:
            port = device.port
        async with collector(tmp_path, modbus(port, interval="1h")) as running:
            await until(lambda: (r := running.report()) and r.cycled, "a cycle tried")
            async with serve({1: WORDS}, port=port):
                await until(running.rows, "a reading")

    asyncio.run(main())


def test_a_half_open_link_is_closed_after_two_timeouts_and_made_anew(tmp_path: Path) -> None:
    async def main() -> None:
        async with serve({1: WORDS}) as device, collector(tmp_path, modbus(device.port)) as running:
            await until(running.rows, "a reading")
            first = set(device.connections)
            device.faults = Faults(silent_units=frozenset({1}))
            await until(lambda: not first & device.connections, "the link closed")
            device.faults = Faults()
            healed_ns = time.time_ns()
            await until(lambda: running.rows()[-1][3] > healed_ns, "a new reading", 15.0)

    asyncio.run(main())


@pytest.mark.e2e
def test_a_link_that_is_lost_again_and_again_is_made_anew_ever_more_slowly(tmp_path: Path) -> None:
    times: list[float] = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        times.append(time.monotonic())
        await reader.read(12)
        writer.close()

    async def main() -> None:
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with collector(tmp_path, modbus(port)):
                await until(lambda: len(times) >= 5, "five connections", 30.0)

    asyncio.run(main())
    for (a, b), wanted in zip(pairwise(times), (0.5, 1.0, 2.0, 4.0), strict=False):
        assert 0.8 * wanted <= b - a <= 1.2 * wanted + 0.5, "0.5 s, doubled each time, a fifth more or less"


def test_an_address_that_the_device_refuses_leaves_other_blocks_alone(tmp_path: Path) -> None:
    tags = [
        {"name": "good", "address": "holding:5", "type": "uint16"},
        {"name": "ill", "address": "holding:90", "type": "uint16"},
        {"name": "coil", "address": "coil:0"},
    ]

    async def main() -> None:
        faults = Faults(illegal=frozenset({("holding", 90)}))
        async with (
            serve({1: WORDS}, faults=faults) as device,
            collector(tmp_path, modbus(device.port, *tags)) as running,
        ):
            await until(lambda: len(running.rows()) > 8, "four cycles")
            read = {k: v for _, _, fields, _ in running.rows() for k, v in fields.items()}
            assert read == {"good": 105, "coil": True}
            assert running.qualities("ill") == [("bad", "IllegalDataAddress")]
            assert running.is_connected()

    asyncio.run(main())


def test_one_bad_register_in_a_block_leaves_its_neighbours_alone_and_is_told_in_the_report(
    tmp_path: Path,
) -> None:
    tags = [{"name": f"t{i}", "address": f"holding:{i}", "type": "uint16"} for i in range(125)]

    async def main() -> None:
        faults = Faults(illegal=frozenset({("holding", 77)}))
        async with (
            serve({1: WORDS}, faults=faults) as device,
            collector(tmp_path, modbus(device.port, *tags)) as running,
        ):
            await until(lambda: running.qualities("t77"), "the bad tag told")
            cycles = 3
            before = device.requests
            await until(lambda: device.requests >= before + 2 * cycles, "three cycles")
            rows = running.rows()
            by_time: dict[str, list[int]] = {}
            for _, _, fields, at in rows:
                for name in fields:
                    by_time.setdefault(name, []).append(at)
            assert by_time.keys() == {f"t{i}" for i in range(125) if i != 77}
            assert max(len(times) for times in by_time.values()) - 1 <= min(map(len, by_time.values()))
            assert running.qualities("t77") == [("bad", "IllegalDataAddress")]
            report = running.report()
            assert report
            (entry,) = report.devices[0].quarantined
            assert (entry.tag, entry.address, entry.reason) == ("t77", "holding:77", "IllegalDataAddress")
            assert abs(entry.since - time.time()) < 60
            assert report.devices[0].connected
            assert report.devices[0].last_error is None
            assert report.stale_tags == 0

    asyncio.run(main())


def test_a_function_that_a_device_does_not_know_is_asked_for_once(tmp_path: Path) -> None:
    asked: list[int] = []

    async def no_coils(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while request := await reader.readexactly(12):
                asked.append(function := request[7])
                pdu = b"\x81\1" if function == 1 else b"\3\2\0\7"
                writer.write(request[:5] + bytes([1 + len(pdu)]) + request[6:7] + pdu)
        writer.close()

    async def main() -> None:
        tags = [{"name": f"c{i}", "address": f"coil:{i}"} for i in range(9)]
        tags += [{"name": "x", "address": "holding:0", "type": "uint16"}]
        async with await asyncio.start_server(no_coils, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with collector(tmp_path, modbus(port, *tags)) as running:
                await until(lambda: len(running.rows()) > 5, "five cycles")
                assert asked.count(1) == 1
                assert running.qualities("c3") == [("bad", "IllegalFunction")]
                report = running.report()
                assert report and len(report.devices[0].quarantined) == 9

    asyncio.run(main())


@pytest.mark.parametrize(
    "faults",
    [Faults(split=True), Faults(drop_every=5), Faults(truncate_every=4)],
    ids=["split", "drop", "cut"],
)
@pytest.mark.parametrize("transport", ["tcp", "rtu-over-tcp"])
def test_no_wrong_value_is_ever_stored(tmp_path: Path, transport: Any, faults: Faults) -> None:
    tags = [{"name": f"t{i}", "address": f"holding:{20 * i}", "type": "uint16"} for i in range(5)]

    async def main() -> None:
        async with serve({1: WORDS}, framing=transport, faults=faults) as device:
            spec = modbus(device.port, *tags, devices=[{"transport": transport, "timeout": "300ms"}])
            async with collector(tmp_path, spec) as running:
                await until(lambda: len(running.rows()) > 10, "readings", 30.0)
                stored = {k: v for _, _, fields, _ in running.rows() for k, v in fields.items()}
                truth = {f"t{i}": 100 + 20 * i for i in range(5)}
                assert stored.items() <= truth.items()

    asyncio.run(main())


def test_a_device_that_is_not_there_is_no_reason_to_exit(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serve(faults=Faults(refuse=True)) as device,
            collector(tmp_path, modbus(device.port)) as running,
        ):
            await until(lambda: (r := running.report()) and r.cycled, "a cycle tried")
            report = running.report()
            assert report and not report.devices[0].connected
            assert report.devices[0].last_error == f"cannot connect to 127.0.0.1:{device.port} (tcp)"
            await until(lambda: running.qualities("x"), "stale")
            assert running.qualities("x") == [("stale", "ConnectionRefused")]
            os.kill(running.process.pid, 0)

    asyncio.run(main())
