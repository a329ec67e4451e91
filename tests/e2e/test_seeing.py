"""What daq says, by file, endpoint and command, is one truth."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.e2e.plant import Plant, collector, sleeper

pytestmark = pytest.mark.e2e

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "status.schema.json").read_bytes())
COUNTED = {"cpu_percent", "memory_mb", "uptime_s", "points", "points_per_second", "devices"}


def get(url: str, method: str = "GET") -> tuple[int, Any, str]:
    """Status, parsed body and content type of a request."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method), timeout=10) as answer:
            return answer.status, json.load(answer), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error), error.headers["Content-Type"]


def lasting(status: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in status.items() if k not in COUNTED}


def test_status_files_endpoint_and_command_agree_and_fit_the_schema(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.write("sleep.yaml", sleeper("sleep"))
    plant.start_loop()
    plant.wait_ready("press", "sleep", "local")
    code, served, _ = get(f"{plant.url}/api/processes")
    assert code == 200
    assert [p["name"] for p in served] == ["local", "press", "sleep"]
    shown = plant.json("status")["processes"]
    validator = jsonschema.Draft202012Validator(SCHEMA)
    for by_endpoint, by_command in zip(served, shown, strict=True):
        in_file = plant.status(by_endpoint["name"])
        assert lasting(by_endpoint) == lasting(by_command) == lasting(in_file)
        for each in (by_endpoint, by_command, in_file):
            assert [e.message for e in validator.iter_errors(each)] == []
    code, one, _ = get(f"{plant.url}/api/processes/press")
    assert (code, lasting(one)) == (200, lasting(served[1]))
    _, summary, _ = get(f"{plant.url}/api/processes/stats/summary")
    assert summary["total_processes"] == 2
    assert summary["running_processes"] == 2
    assert summary["converged"] is True


def test_the_endpoint_refuses_to_write_and_names_the_manifest(plant: Plant) -> None:
    plant.write("sleep.yaml", sleeper("sleep"))
    plant.start_loop()
    plant.wait_ready("sleep")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        code, problem, kind = get(f"{plant.url}/api/processes/sleep", method)
        assert (code, kind) == (405, "application/problem+json")
        assert "sleep.yaml" in problem["detail"]
    code, problem, kind = get(f"{plant.url}/api/processes/nobody")
    assert (code, kind) == (404, "application/problem+json")
    assert "nobody" in problem["detail"]


def test_filters_by_label_and_status(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a").replace("{name: a}", "{name: a, labels: {line: 1}}"))
    plant.write("b.yaml", sleeper("b", "  state: stopped\n"))
    plant.start_loop()
    plant.wait_ready("a")
    assert [p["name"] for p in get(f"{plant.url}/api/processes/?label=line=1")[1]] == ["a"]
    assert "b" in [p["name"] for p in get(f"{plant.url}/api/processes?status=stopped")[1]]
    assert plant.daq("status").returncode == 0
    assert [p["name"] for p in plant.json("status", "-l", "line=1")["processes"]] == ["a"]


def test_an_unknown_name_is_an_error(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plant.start_loop()
    assert plant.daq("status", "nobody").returncode == 2
    assert plant.daq("diff", "nobody").returncode == 2


def test_status_exits_1_while_a_wanted_one_is_not_healthy(plant: Plant) -> None:
    plant.write("press.yaml", collector("press", 1))
    plant.start_loop()
    plant.wait_ready("press")
    shown = plant.daq("status", "press")
    assert shown.returncode == 1
    assert shown.stdout.splitlines()[2].startswith("degraded")


def test_status_says_what_to_do_in_english_or_chinese(plant: Plant) -> None:
    plant.write("press.yaml", collector("press", 1))
    plant.start_loop()
    plant.wait_ready("press")
    assert "  Check power, cable, address and port" in plant.daq("status", "press", "--lang", "en").stdout
    plant.environ["LC_ALL"] = "zh_CN.UTF-8"
    assert "  检查消息中设备的电源" in plant.daq("status", "press").stdout
