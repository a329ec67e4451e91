"""A protocol is added by adding one file: docs/adding-a-protocol.md, done once for real."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from collectors import protocols
from collectors.contract import check_spec
from tests.collectors.running import collecting, until

EXAMPLE = Path(__file__).with_name("new_protocol")
SPEC = {
    "type": "wordline",
    "interval": "100ms",
    "devices": [{"host": "127.0.0.1"}],
    "tags": [
        {"name": "a", "address": "3", "type": "int16", "scale": 0.1},
        {"name": "b", "address": "4", "type": "uint32"},
    ],
}


@pytest.fixture(autouse=True)
def one_more_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocols, "__path__", [*protocols.__path__, str(EXAMPLE)])


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Word n holds n times ten."""
    while line := await reader.readline():
        _, start, count = line.split()
        words = range(int(start) * 10, (int(start) + int(count)) * 10, 10)
        writer.write((" ".join(map(str, words)) + "\n").encode())
    writer.close()


def test_one_file_is_all_it_takes_to_collect(tmp_path: Path) -> None:
    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        spec = {**SPEC, "devices": [{"host": "127.0.0.1", "port": port}]}
        async with server, collecting(tmp_path, spec) as running:
            rows = await until(running.rows, "readings")
            assert rows[0][2] == {"a": 3.0, "b": (40 << 16) + 50}
            await until(running.is_connected, "connected")

    asyncio.run(main())


def test_its_addresses_are_judged_like_any_others() -> None:
    wrong = {**SPEC, "tags": [{"name": "a", "address": "D3", "type": "int16"}]}
    (problem,) = check_spec("Collector", "press", wrong)
    assert (problem.path, problem.message) == (
        ("tags", 0, "address"),
        "'D3' is no address; write a number from 0 to 99",
    )
