"""A collector process beside OPC UA servers that die, restart, freeze or are not there."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from collectors.model import Bad
from tests.collectors.opcua_server import Peer, Running, running
from tests.collectors.running import collecting, until
from tests.collectors.test_opcua_collecting import TAGS, source, spec

pytestmark = pytest.mark.e2e

BACK_WITHIN_S = 10.0


@pytest.mark.parametrize(
    ("peer", "mode"), [("asyncua", "subscribe"), ("node-opcua", "subscribe"), ("node-opcua", "poll")]
)
def test_a_restarted_server_is_read_again_under_its_new_namespace_index(
    tmp_path: Path, peer: Peer, mode: str
) -> None:
    async def main() -> None:
        with running(peer) as first:
            port = first.port
            written = spec(first.url, *TAGS, mode=mode, interval="200ms")
            async with collecting(tmp_path, written) as process:
                await until(lambda: process.is_connected() and len(process.rows()) > 3, "values")
                before = len(process.qualities("x"))
                first.kill()
                await until(lambda: not process.is_connected(), "disconnected")
                await until(lambda: len(process.qualities("x")) > before, "stale")
                with running(peer, port=port, shift=3):
                    back_ns = time.time_ns()
                    await until(lambda: len(process.qualities("x")) > before + 1, "x again", BACK_WITHIN_S)
                    await until(lambda: process.rows()[-1][3] > back_ns, "new values", BACK_WITHIN_S)
                    assert [quality for quality, _ in process.qualities("x")][before:] == ["stale", "good"]
                    assert {f["x"] for _, _, f, _ in process.rows() if "x" in f} == {5}

    asyncio.run(main())


@pytest.mark.parametrize(
    ("peer", "mode"), [("asyncua", "subscribe"), ("node-opcua", "subscribe"), ("node-opcua", "poll")]
)
def test_a_frozen_server_is_noticed_and_read_again_once_it_goes_on(
    tmp_path: Path, peer: Peer, mode: str
) -> None:
    async def main() -> None:
        with running(peer) as server:
            written = spec(server.url, *TAGS, mode=mode, interval="200ms")
            async with collecting(tmp_path, written) as process:
                await until(lambda: len(process.rows()) > 3, "values")
                server.freeze()
                await until(lambda: not process.is_connected(), "disconnected")
                server.thaw()
                back_ns = time.time_ns()
                await until(lambda: process.rows()[-1][3] > back_ns, "new values", BACK_WITHIN_S)
                await until(process.is_connected, "connected again")
                await until(lambda: server.tell(sessions=True) == 1, "the old session to be gone")

    asyncio.run(main())


def test_a_session_that_the_server_ends_is_begun_anew(tmp_path: Path, opcua: Running) -> None:
    async def main() -> None:
        async with collecting(tmp_path, spec(opcua.url, *TAGS)) as process:
            await until(lambda: len(process.rows()) > 3, "values")
            opcua.tell(end_sessions=True)
            ended_ns = time.time_ns()
            await until(lambda: process.rows()[-1][3] > ended_ns + 1e9, "values of later", BACK_WITHIN_S)
            assert process.is_connected()
            assert {f["x"] for _, _, f, _ in process.rows() if "x" in f} == {5}

    asyncio.run(main())


def test_after_a_gap_in_the_numbers_of_messages_everything_is_read(tmp_path: Path, asyncua: Running) -> None:
    async def main() -> None:
        found = source(asyncua.url, tmp_path, *TAGS)
        try:
            await found.open()
            async with asyncio.timeout(5):
                while 1 not in {sample.tag for sample in await found.receive()}:
                    pass  # it is sent once more when it is subscribed to
                assert 1 not in {sample.tag for sample in await found.receive()}
                asyncua.tell(skip=True)
                while (1, 5) not in [(sample.tag, sample.value) for sample in await found.receive()]:
                    pass
        finally:
            await found.close()

    asyncio.run(main())


def test_a_server_that_is_not_there_yet_is_found_when_it_comes(tmp_path: Path) -> None:
    async def main() -> None:
        with running("node-opcua") as server:
            port, url = server.port, server.url
        async with collecting(tmp_path, spec(url)) as process:
            await until(lambda: (r := process.report()) and r.cycled, "a try")
            report = process.report()
            assert report
            assert report.devices[0].last_error == f"cannot connect to {url}: connection refused"
            with running("node-opcua", port=port):
                await until(process.rows, "values", BACK_WITHIN_S)

    asyncio.run(main())


def test_a_dead_server_never_delays_another(tmp_path: Path, asyncua: Running) -> None:
    async def main() -> None:
        live = asyncua
        with running("node-opcua") as dead:
            dead.freeze()
            both = spec(live.url, *TAGS, interval="1s")
            both["devices"] = [{"name": "dead", "url": dead.url}, {"name": "live", "url": live.url}]
            async with collecting(tmp_path, both) as process:
                began = time.monotonic()
                await until(lambda: process.rows(device="live"), "values of the live one")
                assert time.monotonic() - began < 4.0
                await until(lambda: process.is_connected(1) and not process.is_connected(0), "the report")
                assert process.rows(device="dead") == []

    asyncio.run(main())


def test_a_node_that_is_deleted_is_refused_and_the_others_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        with running("node-opcua") as server:
            found = source(server.url, tmp_path, *TAGS)
            try:
                await found.open()
                server.tell(delete="Still.Int")
                values = {s.tag: s.value for s in await found.read()}
                assert isinstance(values[0], int)
                assert values[1] == Bad("BadNodeIdUnknown")
                assert {i: r.reason for i, r in found.refused.items()} == {1: "BadNodeIdUnknown"}
                async with asyncio.timeout(5):
                    while not await found.receive():
                        pass
            finally:
                await found.close()

    asyncio.run(main())
