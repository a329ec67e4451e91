"""The newest values of a running collector, told to whoever asks."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, read_json, read_values, write_json
from collectors.simulate.modbus import serve
from collectors.simulate.modbus_faults import Faults
from tests.collectors.running import collecting, until
from tests.collectors.test_collecting import memory, modbus

HELD = memory({"holding": {0: [0x41BC, 0x0000], 5: [7], 6: [0x7FC0, 0]}, "coil": {3: [1]}})
TAGS: list[dict[str, Any]] = [
    {"name": "temperature", "address": "holding:0", "type": "float32"},
    {"name": "pair", "address": "holding:0", "type": "uint16", "count": 2},
    {"name": "scaled", "address": "holding:5", "type": "int16", "scale": 0.1},
    {"name": "alarms", "address": "holding:5", "type": "uint16", "bits": {"0": "hot", "3": "open"}},
    {"name": "nan", "address": "holding:6", "type": "float32"},
    {"name": "door", "address": "coil:3"},
    {"name": "ill", "address": "holding:90", "type": "uint16"},
]


def asked(state: StateDir, name: str = "press", within_s: float = 2.5) -> Any:
    return asyncio.to_thread(read_values, state, name, within_s)


def test_every_field_is_told_with_its_raw_words_value_unit_and_quality(tmp_path: Path) -> None:
    async def main() -> None:
        faults = Faults(illegal=frozenset({("holding", 90)}))
        async with (
            serve({1: HELD}, faults=faults) as device,
            collecting(tmp_path, modbus(device.port, *TAGS)) as running,
        ):
            live = running.state.live("press")
            write_json(live, {"sinks": ["plant"], "texts": {"temperature": {"unit": "°C"}}})
            await until(lambda: len(running.rows()) > 2 and running.qualities("ill"), "readings")
            began = time.time()
            found = await asked(running.state)
            assert found["at"] >= began
            by_tag = {v["tag"]: v for v in found["values"]}
            shown = {t: (v["raw"], v["value"], v["quality"], v.get("reason")) for t, v in by_tag.items()}
            assert shown == {
                "temperature": ("0x41BC 0x0000", 23.5, "good", None),
                "pair_0": ("0x41BC", 0x41BC, "good", None),
                "pair_1": ("0x0000", 0, "good", None),
                "scaled": ("0x0007", 0.7, "good", None),
                "hot": ("0x0007", True, "good", None),
                "open": ("0x0007", False, "good", None),
                "nan": ("0x7FC0 0x0000", None, "bad", "NotANumber"),
                "door": ("1", True, "good", None),
                "ill": ("", None, "bad", "IllegalDataAddress"),
            }
            assert list(by_tag["door"]) == ["device", "tag", "value", "unit", "quality", "at", "raw"]
            assert by_tag["temperature"]["unit"] == "°C"
            assert by_tag["door"]["unit"] is None
            assert by_tag["ill"]["at"] is None
            assert abs(by_tag["door"]["at"] - time.time()) < 5

    asyncio.run(main())


def test_values_follow_the_device_while_they_are_wanted_and_nothing_is_written_while_not(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        async with serve({1: HELD}) as device, collecting(tmp_path, modbus(device.port)) as running:
            await until(lambda: len(running.rows()) > 12, "readings of more than a second")
            file = running.state.values("press")
            assert not file.exists()
            await asked(running.state)
            times = [file.stat().st_mtime_ns]
            for _ in range(3):
                await until(lambda: file.stat().st_mtime_ns != times[-1], "newer values")
                times.append(file.stat().st_mtime_ns)
            assert times[3] - times[1] > 0.3e9, "no more than five times a second"
            long_ago = time.time() - 60
            os.utime(running.state.values_wanted("press"), (long_ago, long_ago))
            again = await asked(running.state)
            assert again["at"] >= time.time() - 1.5

    asyncio.run(main())


def test_a_tag_that_was_never_read_has_no_value_and_no_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with (
            serve(faults=Faults(refuse=True)) as device,
            collecting(tmp_path, modbus(device.port)) as running,
        ):
            await until(lambda: (r := running.report()) and r.cycled, "a cycle tried")
            (value,) = (await asked(running.state))["values"]
            assert (value["value"], value["at"], value["quality"]) == (None, None, "stale")
            assert value["reason"] == "ConnectionRefused"

    asyncio.run(main())


def test_of_a_collector_that_does_not_run_there_is_what_it_left_or_nothing(state: StateDir) -> None:
    assert read_values(state, "press", 0.05) is None
    write_json(state.values("press"), {"at": 5.0, "values": []})
    assert read_values(state, "press", 0.05) == {"at": 5.0, "values": []} == read_json(state.values("press"))
