"""A collector process against a real OPC UA server: what it reads, by subscription and by polling."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import EXIT_STOPPED, StateDir
from collectors.follow import SessionLoop
from collectors.protocols.opcua import Server
from collectors.protocols.opcua_browse import Found, browse
from collectors.protocols.opcua_session import ServerSource
from collectors.readings import Readings
from collectors.schedule import Slots
from collectors.session import Home
from collectors.spec import parse
from collectors.unit import Unit
from tests.collectors.opcua_server import STILL, Peer, Running, node, running
from tests.collectors.running import collecting, collector, until

pytestmark = pytest.mark.e2e

TRUTH = {
    "Int": 5, "Byte": 200, "Float": 1.5, "Double": 0.1, "Bool": True, "Text": "齿轮 a=b,c", "Local": "Öl",
    "Dead": 10.0, "Lines": "two\nlines", "Since": "2026-01-02T03:04:05.678000+00:00",
    "Id": "09087e75-8e5e-499b-954f-f2a9603db28a",
}  # fmt: skip
COUNT = {"name": "count", "node": node("Moving.Count")}
TAGS = [COUNT, {"name": "x", "node": node("Still.Int")}]


def spec(url: str, *tags: dict[str, Any], interval: str = "5s", **device: Any) -> dict[str, Any]:
    defaults = {"url": url, "publishing": "100ms", "timeout": "1s", **device}
    return {"type": "opcua", "interval": interval, "devices": [defaults], "tags": list(tags) or [COUNT]}


def below_plant(namespace: int, *names: str) -> str:
    """A browse path."""
    return "/Objects" + "".join(f"/{namespace}:{name}" for name in ("Plant", *names))


def source(url: str, root: Path, *tags: dict[str, Any], **device: Any) -> ServerSource:
    """The protocol alone, in this process."""
    (server,) = parse("press", spec(url, *tags, **{"timeout": "5s", **device})).devices
    from collectors.protocols import opcua

    found = opcua.source(server, Home(StateDir(root), root, "node-1"))
    assert isinstance(found, ServerSource)
    return found


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
def test_every_type_reaches_the_outbox_and_what_is_none_says_why(
    tmp_path: Path, opcua: Running, mode: str
) -> None:
    tags: list[dict[str, Any]] = [{"name": p.partition(".")[2], "node": node(p)} for p in STILL]
    tags += [
        {"name": "by_path", "path": below_plant(opcua.namespace, "Still", "Int")},
        {"name": "nowhere", "path": below_plant(opcua.namespace, "Nothing")},
        {"name": "scaled", "node": node("Still.Int"), "scale": 0.1},
        {"name": "unknown", "node": node("Nothing")},
        {"name": "elsewhere", "node": "nsu=urn:nobody;i=5"},
    ]  # fmt: skip

    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, *tags, mode=mode)) as running:
            await until(lambda: len(running.rows("daq_quality")) >= 11, "every quality")
            await until(lambda: "Dead" in {k for _, _, f, _ in running.rows() for k in f}, "every value")
            stored = {k: v for _, _, fields, _ in running.rows() for k, v in fields.items()}
            assert stored == {**TRUTH, "by_path": 5, "scaled": 0.5}
            assert {t["tag"]: f["reason"] for _, t, f, _ in running.rows("daq_quality")} == {
                "Big": "OutOfRange", "Nan": "NotANumber", "Array": "NoScalar", "Bytes": "UnsupportedType",
                "Infinite": "Infinite", "Node": "UnsupportedType", "Status": "UnsupportedType", "Empty": "NoScalar",
                "nowhere": "BadNoMatch", "unknown": "BadNodeIdUnknown", "elsewhere": "NamespaceUnknown",
            }  # fmt: skip
            report = running.report()
            assert report and report.cycled and report.devices[0].connected
            assert {(q.tag, q.reason) for q in report.devices[0].quarantined} == {
                ("nowhere", "BadNoMatch"), ("unknown", "BadNodeIdUnknown"), ("elsewhere", "NamespaceUnknown"),
            }  # fmt: skip

    asyncio.run(main())


def test_every_change_is_received_once_at_the_time_of_its_source(tmp_path: Path, opcua: Running) -> None:
    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url)) as running:
            await until(lambda: len(running.rows()) > 15, "15 changes")
            counts = [f["count"] for _, _, f, _ in running.rows()]
            times = [at for *_, at in running.rows()]
            assert all(isinstance(b, int) and isinstance(a, int) and b > a for a, b in pairwise(counts))
            assert all(b > a for a, b in pairwise(times))
            assert max(b - a for a, b in pairwise(times)) < 1e9
            assert abs(time.time_ns() - times[-1]) < 2e9

    asyncio.run(main())


def test_a_value_that_never_changes_is_not_stale(tmp_path: Path, opcua: Running) -> None:
    tag = {"name": "x", "node": node("Still.Int")}

    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, tag, COUNT, interval="500ms")) as running:
            await until(lambda: len(running.rows()) > 22, "more than three intervals", 30.0)
            assert [q for q, _ in running.qualities("x")] in (
                [],
                ["stale", "good"],
            )  # before it was connected
            assert {f["x"] for _, _, f, _ in running.rows() if "x" in f} == {5}

    asyncio.run(main())


def test_an_idle_subscription_is_kept_alive_and_repeats_what_is_to_be_stored_anyway(
    tmp_path: Path, opcua: Running
) -> None:
    tag = {"name": "x", "node": node("Still.Dead"), "deadband": 5, "atLeastEvery": "1s"}

    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, tag, interval="1s")) as running:
            await until(lambda: len(running.rows()) >= 3, "it repeated")
            assert {f["x"] for _, _, f, _ in running.rows()} == {10.0}
            assert all(b - a >= 0.9e9 for a, b in pairwise([at for *_, at in running.rows()]))
            assert running.rows("daq_quality") == []

    asyncio.run(main())


def test_a_deadband_leaves_out_what_is_within_it(tmp_path: Path, opcua: Running) -> None:
    tag = {"name": "x", "node": node("Still.Dead"), "deadband": 5}

    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, tag, COUNT)) as running:
            await until(running.rows, "a value")
            for value in (12.0, 20.0, 19.0, 40.0):
                opcua.tell(set="Still.Dead", to=value)
                after = len(running.rows())
                await until(lambda after=after: len(running.rows()) > after + 3, "several sendings")  # type: ignore[misc]
            opcua.tell(set="Still.Dead", to=10.0)
            stored = [f["x"] for _, _, f, _ in running.rows() if "x" in f]
            assert stored[:3] == [10.0, 20.0, 40.0]

    asyncio.run(main())


def test_the_server_itself_leaves_out_what_is_within_a_deadband(tmp_path: Path, opcua: Running) -> None:
    tag = {"name": "x", "node": node("Still.Dead"), "deadband": 10, "scale": 2}

    async def main() -> None:
        found = source(opcua.url, tmp_path, tag)
        taken = [sample.value for sample in await found.open()]
        try:
            for value in (14.0, 20.0):
                opcua.tell(set="Still.Dead", to=value)
                await asyncio.sleep(0.3)  # long enough for the server to send each
            async with asyncio.timeout(5):
                while 40.0 not in taken:
                    taken += [sample.value for sample in await found.receive()]
            assert set(taken) == {20.0, 40.0}
        finally:
            opcua.tell(set="Still.Dead", to=10.0)
            await found.close()

    asyncio.run(main())


def test_a_deadband_holds_here_where_the_server_refuses_it(tmp_path: Path) -> None:
    tag = {"name": "x", "node": node("Still.Dead"), "deadband": 5}

    async def main() -> None:
        with running(deadbands=False) as server:
            async with collecting(tmp_path, spec(server.url, tag, COUNT)) as process:
                await until(process.rows, "a value")
                for value in (12.0, 20.0):
                    server.tell(set="Still.Dead", to=value)
                    after = len(process.rows())
                    await until(lambda after=after: len(process.rows()) > after + 3, "sendings")  # type: ignore[misc]
                assert [f["x"] for _, _, f, _ in process.rows() if "x" in f] == [10.0, 20.0]
                assert process.rows("daq_quality") == []

    asyncio.run(main())


def test_a_bad_status_is_a_bad_reading_until_it_is_good_again(tmp_path: Path, opcua: Running) -> None:
    tag = {"name": "x", "node": node("Still.Double")}

    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, tag)) as running:
            await until(running.rows, "a value")
            opcua.tell(bad=["Still.Double"])
            await until(lambda: running.qualities("x") == [("bad", "BadSensorFailure")], "bad")
            opcua.tell(bad=[])
            await until(lambda: running.qualities("x")[1:] == [("good", "")], "good again")
            assert {f["x"] for _, _, f, _ in running.rows()} == {0.1}

    asyncio.run(main())


def test_another_type_of_the_server_is_a_bad_reading_and_the_field_keeps_its_own(
    tmp_path: Path, opcua: Running
) -> None:
    tag = {"name": "x", "node": node("Still.Int")}

    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, tag)) as running:
            await until(running.rows, "a value")
            opcua.tell(retyped=["Still.Int"])
            await until(lambda: running.qualities("x") == [("bad", "TypeChanged")], "another type")
            opcua.tell(retyped=[])
            await until(lambda: running.qualities("x")[1:] == [("good", "")], "the first type")
            assert all(isinstance(f["x"], int) for _, _, f, _ in running.rows())

    asyncio.run(main())


def test_values_that_overflowed_the_servers_queue_are_counted(tmp_path: Path, node_opcua: Running) -> None:
    async def main() -> None:
        found = source(node_opcua.url, tmp_path, COUNT, publishing="1s", sampling="0s", queue=2)
        try:
            await found.open()
            async with asyncio.timeout(5):
                while not found.lost:
                    samples = await found.receive()
            assert len([s for s in samples if isinstance(s.value, int)]) == 2, "those that the queue held"
        finally:
            await found.close()

    asyncio.run(main())


def test_polling_reads_in_every_slot_and_stores_what_is_new(tmp_path: Path, opcua: Running) -> None:
    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, mode="poll", interval="200ms")) as running:
            await until(lambda: len(running.rows()) > 10, "10 cycles")
            times = [at for *_, at in running.rows()]
            assert max(b - a for a, b in pairwise(times)) < 1e9
            assert sum(b - a for a, b in pairwise(times)) > 0.15e9 * (len(times) - 1)

    asyncio.run(main())


@pytest.mark.parametrize("peer", ["asyncua", "node-opcua"])
@pytest.mark.parametrize("mode", ["subscribe", "poll"])
def test_no_call_holds_more_nodes_than_the_server_takes(tmp_path: Path, mode: str, peer: Peer) -> None:
    """asyncua names no limit but refuses the call, node-opcua names it."""
    tags = [{"name": f"x{n}", "node": node(f"Load.{n}")} for n in range(100)]

    async def main() -> None:
        with running(peer, items=100, max_nodes=7) as server:
            async with collecting(tmp_path, spec(server.url, *tags, mode=mode)) as process:
                await until(lambda: len({k for _, _, f, _ in process.rows() for k in f}) == 100, "every item")
                assert process.rows("daq_quality") == []

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["subscribe", "poll"])
def test_what_the_server_refuses_is_asked_for_again_after_a_while(tmp_path: Path, mode: str) -> None:
    """By a collector that waits 0.2 s where others wait ten minutes."""
    parsed = parse("press", spec("opc.tcp://nowhere", *TAGS))
    emitted: list[str] = []

    async def main() -> None:
        with running("node-opcua", hidden=["Still.Int"]) as server:
            found = source(server.url, tmp_path, *TAGS, mode=mode)
            readings = Readings(parsed, parsed.devices[0], lambda line, _: emitted.append(line), 0.0)
            unit = Unit(parsed.devices[0], readings, lambda: None)
            stop = asyncio.Event()
            loop = asyncio.create_task(
                SessionLoop(found, unit, Slots.of("press", 100), check_every_s=0.2).run(stop)
            )
            await until(
                lambda: [(q.tag, q.reason) for q in unit.quarantined] == [("x", "BadNodeIdUnknown")],
                "refused",
            )
            await until(lambda: sum(" count=" in line for line in emitted) > 10, "the other one goes on")
            sessions = server.tell(sessions=True)
            server.tell(show="Still.Int")
            await until(lambda: any(" x=5i" in line for line in emitted), "a value")
            server.tell(set="Still.Int", to=6)
            await until(lambda: any(" x=6i" in line for line in emitted), "another one")
            assert unit.quarantined == () and server.tell(sessions=True) == sessions == 1
            stop.set()
            await loop

    asyncio.run(main())


def test_browsing_finds_every_node_with_its_type_and_value(tmp_path: Path, opcua: Running) -> None:
    (server,) = parse("press", spec(opcua.url)).devices
    assert isinstance(server, Server)

    async def main() -> dict[str, Found]:
        home = Home(StateDir(tmp_path), tmp_path, "node-1")
        return {one.node: one async for one in browse(server, home, node("Plant"), 5)}

    found = asyncio.run(main())
    variables = {*STILL, "Moving.Count"}
    assert {n for n, one in found.items() if one.is_variable} == {node(path) for path in variables}
    assert {n for n, one in found.items() if not one.is_variable} == {node("Still"), node("Moving")}
    shown = {path: (found[node(path)].type, found[node(path)].value) for path in STILL}
    assert shown["Still.Array"] == ("Double[]", "[1, 2]")
    assert shown["Still.Big"] == ("UInt64", "18446744073709551615")
    assert shown["Still.Local"] == ("LocalizedText", "Öl")
    assert shown["Still.Since"] == ("DateTime", "2026-01-02T03:04:05.678000+00:00")
    assert found[node("Still.Int")].path == ("Still", "Int")


def test_stopping_closes_the_session(tmp_path: Path, opcua: Running) -> None:
    async def main() -> None:
        before = opcua.tell(sessions=True)
        async with collector(tmp_path, spec(opcua.url)) as running:
            await until(running.rows, "a value")
            assert opcua.tell(sessions=True) == before + 1
            assert await running.stop() == EXIT_STOPPED
            await until(lambda: opcua.tell(sessions=True) == before, "no session more than before")

    asyncio.run(main())
