"""Logs: each event once, as text or as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.plant import Plant, collector
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_a_lost_device_is_logged_once_and_its_return_once(plant: Plant) -> None:
    port = plant.device()
    plant.write("text.yaml", collector("text", port, interval="100ms"))
    plant.write(
        "json.yaml", collector("json", port, interval="100ms", extra="  env: {DAQ_LOG_FORMAT: json}\n")
    )
    plant.start_loop()
    plant.wait_ready("text", "json")

    def reads(name: str, more_than: int) -> bool:
        (device,) = plant.status(name)["devices"]
        return bool(device["connected"] and device["reads"] > more_than)

    wait_until(lambda: reads("text", 0) and reads("json", 0), "readings", 30)
    plant.devices[0].kill()
    plant.devices[0].wait()
    wait_until(lambda: min(away(plant, "text"), away(plant, "json")) > 3, "both to try again and again", 30)
    plant.device(port=port)
    wait_until(lambda: all("answers again" in log(plant, n) for n in ("text", "json")), "its return", 30)

    lines = [line for line in log(plant, "text").splitlines() if "127.0.0.1" in line or "again" in line]
    assert [line.split(" - ")[2] for line in lines] == ["WARNING", "INFO"], lines
    records: list[dict[str, Any]] = [json.loads(line) for line in log(plant, "json").splitlines()]
    told = [r["level"] for r in records if "127.0.0.1" in r["message"] or "again" in r["message"]]
    assert told == ["WARNING", "INFO"], records


def log(plant: Plant, name: str) -> str:
    return (plant.state / "logs" / f"{name}.log").read_text()


def away(plant: Plant, name: str) -> int:
    """Failed requests of a device that does not answer."""
    (device,) = json.loads((plant.state / "reports" / f"{name}.json").read_bytes())["devices"]
    return 0 if device["connected"] else int(device["errors"])


def test_the_loop_logs_json_alone_where_that_is_wanted(plant: Plant) -> None:
    plant.start_loop("--log-format", "json")
    plant.end_loop()
    records = [json.loads(line) for line in plant.said().splitlines()]
    assert any("first pass done" in r["message"] for r in records)
    assert all({"at", "level", "logger", "message"} <= r.keys() for r in records)
