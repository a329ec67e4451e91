"""From the old files, or from nothing, to readings in a database."""

from __future__ import annotations

import json

import pytest

from tests.e2e.plant import DAQ, Plant
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_old_files_become_collectors_that_run(plant: Plant) -> None:
    port = plant.device()
    old = plant.root / "old"
    old.mkdir()
    processes = {
        "press": {
            "command": ["python", "-m", "apps.collector.modbustcp_influx"],
            "config_file": "press.json",
        },
        "clock": {
            "command": [str(DAQ), "wait", "--for", "healthy", "--timeout", "60s"],
            "auto_restart": False,
        },
    }
    config = {
        "modbus": {"host": "127.0.0.1", "port": port, "timeout": 1, "unit_id": 1},
        "collect_interval": 0.2,
        "registers": [{"tag": "temperature", "address": 40001, "count": 2, "data_type": "float"}],
    }
    (old / "processes.json").write_text(json.dumps({"processes": processes}))
    (old / "press.json").write_text(json.dumps(config))
    done = plant.daq("import", "old/processes.json", "old/press.json", "--out", "desired")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["wrote desired/press.yaml", "wrote desired/clock.yaml"]
    assert plant.daq("import", "old/press.json", "--out", "desired").returncode == 2
    plant.start_loop()
    wait_until(lambda: len(plant.rows("SELECT 1 FROM samples WHERE tag = 'temperature'")) > 3, "readings", 30)


def test_files_are_looked_for_where_the_manifests_will_lie(plant: Plant) -> None:
    keys = {"command": ["./run"], "config_file": "here.json"}
    (plant.root / "old.json").write_text(json.dumps({"processes": {"p": keys}}))
    (plant.root / "here.json").touch()
    assert plant.daq("import", "old.json").stderr == ""
    assert plant.daq("import", "old.json", "--out", "desired").stderr == ""
    elsewhere = plant.daq("import", "old.json", "--out", "elsewhere/desired")
    assert elsewhere.returncode == 0
    assert "cannot read here.json" in elsewhere.stderr
    assert f"below {plant.root.resolve() / 'elsewhere'}" in elsewhere.stderr


def test_a_new_directory_validates_and_runs(plant: Plant) -> None:
    assert plant.daq("init", "mine").returncode == 0
    assert plant.daq("init", "mine").returncode == 2
    mine = plant.root / "mine"
    port = plant.device()
    (mine / "desired" / "simulator.yaml").unlink()
    press = mine / "desired" / "press.yaml"
    press.write_text(press.read_text().replace("15020", str(port)))
    plant.root, plant.desired, plant.state = mine, mine / "desired", mine / ".daq"
    assert plant.daq("validate").returncode == 0
    plant.start_loop()
    plant.wait_ready("press", "local")
    assert "door_open" in press.read_text()
    wait_until(lambda: len(plant.rows("SELECT 1 FROM samples WHERE tag = 'door_open'")) > 1, "readings", 30)
