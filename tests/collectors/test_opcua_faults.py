"""A collector before a simulated OPC UA server whose network goes wrong while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.model import LinkLostError
from tests.collectors.opcua_server import STILL, Running, node, running
from tests.collectors.relay import relayed
from tests.collectors.running import collecting, until
from tests.collectors.test_opcua_collecting import COUNT, source, spec

pytestmark = pytest.mark.e2e

BACK_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def simulated() -> Iterator[Running]:
    with running() as server:
        yield server


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param({"refuse": True, "drop_every": 1}, id="refuse"),
        pytest.param({"drop_every": 1}, id="black-hole"),
        pytest.param({"silent_after_s": 0.5}, id="half-open"),
        pytest.param({"truncate_every": 4}, id="truncate"),
        pytest.param({"delay_s": 2.0}, id="slower-than-the-time-out"),
    ],
)
def test_a_link_that_goes_bad_is_found_out_and_gives_values_again_once_it_is_well(
    tmp_path: Path, simulated: Running, fault: dict[str, Any]
) -> None:
    async def main() -> None:
        async with collecting(tmp_path, spec(simulated.url)) as process:
            await until(lambda: len(process.rows()) > 3, "values")
            simulated.tell(faults=fault)
            try:
                await until(lambda: not process.is_connected(), "the loss told")
            finally:
                simulated.tell(faults={})
            well_ns = time.time_ns()
            await until(lambda: process.rows()[-1][3] > well_ns, "values of later", BACK_WITHIN_S)
            await until(process.is_connected, "connected")

    asyncio.run(main())


@pytest.mark.parametrize("fault", [{"split": True}, {"delay_s": 0.05}], ids=["split", "delay"])
def test_a_slow_link_is_none_that_is_lost(tmp_path: Path, simulated: Running, fault: dict[str, Any]) -> None:
    async def main() -> None:
        simulated.tell(faults=fault)
        try:
            async with collecting(tmp_path, spec(simulated.url, timeout="5s")) as process:
                await until(lambda: len(process.rows()) > 6, "values")
                counts = [f["count"] for _, _, f, _ in process.rows()]
                assert counts == sorted(set(counts), key=int)
            report = process.report()
            assert report and report.devices[0].errors == 0
        finally:
            simulated.tell(faults={})

    asyncio.run(main())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 7)), min_size=1, max_size=8))
def test_an_answer_with_wrong_bits_ends_in_a_lost_link_at_worst(
    tmp_path: Path, simulated: Running, flips: list[tuple[int, int]]
) -> None:
    """Over an open channel no checksum tells a wrong value; but nothing may end the collector."""
    tags = [COUNT, *({"name": path.partition(".")[2], "node": node(path)} for path in STILL)]

    async def main() -> None:
        async with relayed(simulated.port) as relay:
            found = source(f"opc.tcp://127.0.0.1:{relay.port}", tmp_path, *tags, timeout="200ms")
            passed = 0

            def change(data: bytes) -> bytes:
                nonlocal passed
                changed = bytearray(data)
                for at, bit in flips:
                    if passed <= at < passed + len(data):
                        changed[at - passed] ^= 1 << bit
                passed += len(data)
                return bytes(changed)

            relay.change = change
            try:
                await found.open()
                await found.receive()
                await found.read()
            except LinkLostError as error:
                assert str(error).startswith("cannot ")
            finally:
                await found.close()

    asyncio.run(main())
