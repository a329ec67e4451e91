"""Readings reach real databases as they were read, and an outage of a database costs none of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from collectors.contract import StateDir
from tests.collectors.sending import settled
from tests.databases import influxd, victoria_metrics
from tests.e2e.plant import Plant
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

SINKS = """apiVersion: daq/v1
kind: Sink
metadata: {{name: plant}}
spec: {{type: influxdb, url: "{influx}", database: iot_data}}
---
apiVersion: daq/v1
kind: Sink
metadata: {{name: metrics}}
spec: {{type: influxdb, url: "{victoria}", org: plant, bucket: iot_data, token: {{env: VM_TOKEN}}}}
"""

COLLECTOR = """apiVersion: daq/v1
kind: Collector
metadata: {{name: press}}
spec:
  type: modbus
  state: {state}
  interval: 200ms
  sinks: [local, plant, metrics]
  devices: [{{name: press-1, host: 127.0.0.1, port: {port}, labels: {{hall: "A, 北 =1"}}}}]
  tags:
    - {{name: temperature, address: 40001, type: float32, order: CDAB}}
    - {{name: pressure, address: "input:0", type: int16, scale: 0.1}}
    - {{name: pieces, address: "holding:102", type: uint32, order: CDAB}}
    - {{name: recipe, address: "holding:10", type: string, length: 16}}
    - {{name: pump, address: "coil:1", type: bool}}
"""
TAGS = ("temperature", "pressure", "pieces", "recipe", "pump")
BOOLS = {"pump"}
FIELD_TYPES = {
    "temperature": "float",
    "pressure": "float",
    "pieces": "integer",
    "recipe": "string",
    "pump": "boolean",
}


def test_three_databases_hold_every_reading_equal_also_after_an_outage(plant: Plant, tmp_path: Path) -> None:
    folders = [tmp_path / "influxd", tmp_path / "victoria"]
    for folder in folders:
        folder.mkdir()
    with influxd(folders[0]) as influx, victoria_metrics(folders[1]) as victoria:
        influx.query("CREATE DATABASE iot_data")
        plant.environ["VM_TOKEN"] = "not-checked-there"
        port = plant.device()
        plant.write("sinks.yaml", SINKS.format(influx=influx.url, victoria=victoria.url))
        plant.write("press.yaml", COLLECTOR.format(port=port, state="running"))
        plant.start_loop()
        plant.wait_ready("press", "plant", "metrics", "local")
        wait_until(lambda: plant.condition("press", "Healthy").get("status") == "True", "all to be well")
        wait_until(lambda: influx.count("iot_data", "press") > 20, "readings in influxd")
        influx.stop()
        wait_until(lambda: plant.condition("plant", "DataHeld"), "the outage to be told", 30)
        assert plant.condition("press", "Ready")["status"] == "True"
        wait_until(
            lambda: plant.condition("press", "Healthy")["status"] == "False", "its user to tell it too"
        )
        held_from = len(plant.rows("select distinct ts_ns from samples"))
        wait_until(
            lambda: len(plant.rows("select distinct ts_ns from samples")) > held_from + 10,
            "an outage's worth",
        )
        influx.start()
        plant.write("press.yaml", COLLECTOR.format(port=port, state="stopped"))
        wait_until(lambda: not plant.pids("press"), "the collector to stop")
        for sink in ("plant", "metrics", "local"):
            wait_empty(plant, sink)
        stored = samples(plant)
        types = {
            row["fieldKey"]: row["fieldType"]
            for row in influx.query('SHOW FIELD KEYS FROM "press"', "iot_data")
        }
        assert types == FIELD_TYPES
        assert stored == from_influx(influx.query('SELECT * FROM "press"', "iot_data"))
        numbers = {k: float(v) for k, v in stored.items() if not isinstance(v, str)}
        wait_until(lambda: len(from_victoria(victoria)) >= len(numbers), "victoria-metrics to show them")
        at_ms = {(tag, ns // 1_000_000): v for (tag, ns), v in numbers.items()}
        assert from_victoria(victoria) == pytest.approx(at_ms, rel=1e-12)  # it keeps some 13 digits
        wait_until(  # the reports of both ends are of different moments
            lambda: (counted := points(plant, "plant"))["acquired"] == counted["delivered"],
            "all to be told",
            30,
        )
        assert points(plant, "plant")["delivered"] - quality(plant) == len(stored)


def points(plant: Plant, name: str) -> dict[str, int]:
    found: dict[str, int] = plant.status(name).get("points", {"queued": -1})
    return found


def wait_empty(plant: Plant, sink: str) -> None:
    """By the outbox itself: a status may be ten seconds old."""
    wait_until(lambda: settled(StateDir(plant.state), "press", sink), f"{sink} to have nothing queued", 30)
    wait_until(lambda: points(plant, sink)["queued"] == 0, f"the status of {sink} to say so", 30)


def quality(plant: Plant) -> int:
    """Points of `daq_quality` lines: two fields each."""
    return 2 * len(plant.rows("select 1 from samples where measurement = 'daq_quality'"))


def samples(plant: Plant) -> dict[tuple[str, int], Any]:
    """Values of the embedded database by tag and ns."""
    rows = plant.rows("select tag, ts_ns, value from samples where measurement = 'press'")
    return {(tag, ns): bool(value) if tag in BOOLS else value for tag, ns, value in rows}


def from_influx(rows: list[dict[str, Any]]) -> dict[tuple[str, int], Any]:
    """The same from influxd; the labels are checked on the way."""
    assert {(row["collector"], row["device"], row["hall"]) for row in rows} == {
        ("press", "press-1", "A, 北 =1")
    }
    return {(tag, row["time"]): row[tag] for row in rows for tag in TAGS if row[tag] is not None}


def from_victoria(victoria: Any) -> dict[tuple[str, int], float]:
    """Numbers by tag and ms."""
    exported = victoria.export('{__name__=~"press_.*"}')
    return {
        (name.removeprefix("press_"), ms): value
        for name, values in exported.items()
        if name != "press_recipe"
        for ms, value in values.items()
    }
