"""A collector before a simulated OPC UA server whose network goes wrong while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collectors.opcua_server import Running, running
from tests.collectors.running import collecting, until
from tests.collectors.test_opcua_collecting import spec

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
