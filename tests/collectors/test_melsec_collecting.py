"""A collector process beside simulated PLCs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from collectors.simulate.melsec import serve
from collectors.simulate.melsec_faults import Faults
from collectors.simulate.melsec_frames import Code, Frame
from tests.collectors.running import collector, until
from tests.collectors.test_melsec_link import plc


def melsec(port: int, frame: Frame, code: Code, *tags: dict[str, Any]) -> dict[str, Any]:
    access = {"frame": frame, "code": code, "series": "FX3U" if frame == "1E" else "QnU"}
    return {
        "type": "melsec",
        "interval": "100ms",
        "devices": [{"host": "127.0.0.1", "port": port, "timeout": "300ms", **access}],
        "tags": list(tags) or [{"name": "x", "address": "D5", "type": "uint16"}],
    }


@pytest.mark.parametrize("how", [("1E", "ascii"), ("4E", "binary")], ids=" ".join)
def test_a_plc_that_dies_and_returns_is_read_again_without_a_restart(
    tmp_path: Path, how: tuple[Frame, Code]
) -> None:
    frame, code = how

    async def main() -> None:
        async with serve(frame=frame, code=code) as reserved:
            port = reserved.port
        async with collector(tmp_path, melsec(port, frame, code)) as running:
            for _ in range(2):
                began_ns = time.time_ns()
                series = "FX3" if frame == "1E" else "Q"
                async with serve(plc(series), frame=frame, code=code, port=port) as simulated:  # type: ignore[arg-type]
                    await until(lambda at=began_ns: (r := running.rows()) and r[-1][3] > at, "a reading")  # type: ignore[misc]
                    await until(running.is_connected, "connected")
                    assert len(simulated.connections) == 1
                await until(lambda: not running.is_connected(), "disconnected")
            assert {fields["x"] for _, _, fields, _ in running.rows()} == {15}
            assert running.process.returncode is None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("frame", "code", "faults"),
    [
        ("1E", "binary", Faults(truncate_every=4)),
        ("3E", "ascii", Faults(drop_every=5, split=True)),
        ("4E", "ascii", Faults(stale_every=3)),
    ],
)
def test_no_wrong_value_is_ever_stored(tmp_path: Path, frame: Frame, code: Code, faults: Faults) -> None:
    tags = [{"name": f"t{i}", "address": f"D{100 * i}", "type": "uint16"} for i in range(5)]

    async def main() -> None:
        series = "FX3" if frame == "1E" else "Q"
        async with serve(plc(series), frame=frame, code=code, faults=faults) as simulated:  # type: ignore[arg-type]
            spec = melsec(simulated.port, frame, code, *tags)
            spec["devices"][0]["timeout"] = "300ms"
            async with collector(tmp_path, spec) as running:
                await until(lambda: len(running.rows()) > 10, "readings", 30.0)
                stored = {k: v for _, _, fields, _ in running.rows() for k, v in fields.items()}
                assert stored.items() <= {f"t{i}": 300 * i for i in range(5)}.items()

    asyncio.run(main())


def test_a_device_number_that_the_plc_refuses_leaves_its_neighbours_alone(tmp_path: Path) -> None:
    tags = [{"name": f"t{i}", "address": f"D{i}", "type": "uint16"} for i in range(20)]
    tags += [{"name": f"m{i}", "address": f"M{i}"} for i in range(100)]
    tags += [{"name": "beyond", "address": "D9000", "type": "uint16"}]

    async def main() -> None:
        faults = Faults(illegal=frozenset({("D", 7), ("M", 50)}))
        async with (
            serve(plc("FX3"), faults=faults) as simulated,
            collector(tmp_path, melsec(simulated.port, "1E", "binary", *tags)) as running,
        ):
            await until(lambda: (r := running.report()) and len(r.devices[0].quarantined) == 3, "quarantine")
            told_ns = time.time_ns()
            await until(lambda: running.rows()[-1][3] > told_ns + 300_000_000, "three more cycles")
            report = running.report()
            assert report
            assert {(q.address, q.reason) for q in report.devices[0].quarantined} == {
                ("D7", "RangeError"), ("M50", "RangeError"), ("D9000", "RangeError"),
            }  # fmt: skip
            assert report.devices[0].connected
            assert report.stale_tags == 0
            latest = {k: v for _, _, f, at in running.rows() if at > told_ns for k, v in f.items()}
            truth = {f"t{i}": 3 * i for i in range(20)} | {f"m{i}": i % 3 == 0 for i in range(100)}
            assert latest == {k: v for k, v in truth.items() if k not in ("t7", "m50")}

    asyncio.run(main())
