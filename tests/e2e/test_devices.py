"""`daq read`, `daq probe` and `daq diff --wire` as people use them: the program, a device, a running collector."""

from __future__ import annotations

import json

import pytest

from tests.e2e.plant import Plant

pytestmark = pytest.mark.e2e

LINE = """
apiVersion: daq/v1
kind: Collector
metadata: {{name: line}}
spec:
  type: modbus
  interval: 200ms
  deviceDefaults: {{host: 127.0.0.1, port: {port}, timeout: 300ms}}
  devices: [{{name: p1, unitId: 1}}]
  tags:
    - {{name: tool, address: 40001, type: float32, order: CDAB, unit: °C}}
    - {{name: recipe, address: "holding:10", type: string, length: 16}}
"""
KEYS = ["device", "tag", "value", "unit", "quality", "at", "raw"]


def test_of_a_running_collector_its_last_cycle_is_read_and_no_second_connection_made(plant: Plant) -> None:
    port = plant.device()
    plant.write("line.yaml", LINE.format(port=port))
    plant.start_loop()
    plant.wait_ready("line")
    done = plant.daq("read", "line", "-o", "json")
    assert (done.returncode, done.stderr) == (0, "")
    tool, recipe = json.loads(done.stdout)
    assert list(tool) == KEYS
    assert (tool["device"], tool["tag"], tool["unit"], tool["quality"]) == ("p1", "tool", "°C", "good")
    assert 150 < tool["value"] < 200
    assert tool["raw"].count("0x") == 2
    assert recipe["raw"].count("0x") == 8
    shown = plant.daq("read", "line", "--direct")
    assert shown.returncode == 0
    assert "line is running: this is a second connection" in shown.stderr
    assert [line.split()[:2] for line in shown.stdout.splitlines()[1:]] == [["p1", "tool"], ["p1", "recipe"]]


def test_a_manifest_is_tried_before_it_is_in_force_and_what_fails_is_told(plant: Plant) -> None:
    port = plant.device()
    ill = '    - {name: ill, address: "holding:5000", type: uint16}\n'
    file = plant.root / "new.yaml"
    file.write_text(LINE.format(port=port) + ill)
    done = plant.daq("read", "new.yaml", "-o", "json")
    assert done.returncode == 1
    assert done.stderr == "cannot read ill (holding:5000) of p1: IllegalDataAddress\n"
    assert [value["quality"] for value in json.loads(done.stdout)] == ["good", "good", "bad"]
    file.write_text(LINE.format(port=1))
    done = plant.daq("read", "new.yaml")
    assert (done.returncode, done.stderr) == (1, "cannot connect to 127.0.0.1:1 (tcp)\n")
    file.write_text("kind: Collector\n")
    done = plant.daq("read", "new.yaml")
    assert done.returncode == 1
    assert "new.yaml:1:1: " in done.stderr
    done = plant.daq("read", "nobody")
    assert (done.returncode, done.stderr) == (
        1,
        "cannot read nobody: no manifest of that name, and no such file\n",
    )


def test_a_probe_shows_the_words_beside_every_type_and_order(plant: Plant) -> None:
    port = plant.device()
    done = plant.daq("probe", f"modbus://127.0.0.1:{port}/1?address=holding:0&count=2", "-o", "json")
    assert done.returncode == 0
    by_kind = {(one["offset"], one["type"], one["order"]): one["value"] for one in json.loads(done.stdout)}
    assert 150 < by_kind[0, "float32", "CDAB"] < 200
    assert len({by_kind[0, "uint32", order] for order in ("ABCD", "CDAB", "BADC", "DCBA")}) == 4
    assert done.stderr.startswith("second opinion: pymodbus 3")
    table = plant.daq("probe", f"modbus://127.0.0.1:{port}/1?address=holding:0&count=2").stdout
    assert table.splitlines()[0].split() == ["AT", "RAW", "ORDER", "int16", "uint16", "bcd16"]
    done = plant.daq("probe", f"modbus://127.0.0.1:{port}/1?address=holding:1999&count=2")
    told, opinion = done.stderr.splitlines()
    assert (done.returncode, told) == (1, "cannot read holding:1999 +1: IllegalDataAddress")
    assert opinion.startswith("second opinion: pymodbus 3")
    done = plant.daq("probe", f"modbus://127.0.0.1:{port}/1?address=holding:0&timout=1s")
    assert done.returncode == 1
    assert "did you mean timeout?" in done.stderr


def test_diff_tells_the_requests_and_whether_they_fit_the_interval(plant: Plant) -> None:
    plant.write("line.yaml", LINE.format(port=1))
    done = plant.daq("diff", "--wire", "-o", "json")
    assert done.returncode == 1
    wire = json.loads(done.stdout)["wire"]["line"]
    (request,) = wire["requests"]
    assert (request["function"], request["range"], request["count"]) == (
        "03 holding registers",
        "holding:0-17",
        18,
    )
    assert wire["links"][0]["cycle_s"] == 0.02
    said = plant.daq("diff", "line", "--wire").stdout
    assert "127.0.0.1:1 (tcp): 1 request of the fullest cycle: 20 ms (estimated), 10% of 0.2 s" in said
