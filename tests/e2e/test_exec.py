"""Any program that stays in the foreground runs as its manifest says."""

from __future__ import annotations

import pytest

from tests.e2e.plant import Plant
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


def program(name: str, command: str, extra: str = "") -> str:
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: exec
  command: [sh, -c, {command!r}]
{extra}"""


def test_a_program_gets_its_directory_its_environment_and_nothing_of_ours(plant: Plant) -> None:
    (plant.root / "work").mkdir()
    plant.environ |= {"PRINTER_KEY": "from-the-loop", "UNRELATED": "of the loop's own"}
    extra = "  workingDirectory: work\n  env: {PRINTER: zebra-3, KEY: {env: PRINTER_KEY}}\n"
    plant.write("label.yaml", program("label", "pwd; env; exec sleep 100", extra))
    plant.start_loop()
    plant.wait_ready("label")
    log = (plant.state / "logs" / "label.log").read_text().splitlines()
    assert log[0] == str(plant.root / "work")
    names = {line.partition("=")[0] for line in log[1:]}
    assert {"PRINTER=zebra-3", "KEY=from-the-loop", "PRINTER_KEY=from-the-loop", "DAQ_NAME=label"} <= set(log)
    assert "UNRELATED" not in names


def test_a_program_that_is_not_there_is_named_and_tried_again(plant: Plant) -> None:
    plant.write("label.yaml", program("label", "true").replace("[sh,", "[no-such-program,"))
    plant.start_loop()
    wait_until(lambda: plant.status("label").get("status") == "crashed", "the failed start")
    status = plant.status("label")
    assert "no-such-program" in status["last_error"]
    assert status["next_restart_at"] is not None


def test_exit_78_is_held_until_the_manifest_changes(plant: Plant) -> None:
    plant.write("label.yaml", program("label", "echo the printer has no name; exit 78"))
    plant.start_loop()
    wait_until(lambda: plant.status("label").get("status") == "error", "the hold")
    assert "the printer has no name" in plant.condition("label", "Stalled")["message"]
    plant.write("label.yaml", program("label", "exec sleep 100"))
    plant.wait_ready("label")
    assert plant.status("label")["last_error"] is None


def test_exit_0_under_on_failure_is_completed(plant: Plant) -> None:
    plant.write("label.yaml", program("label", "exit 0", "  restart: {policy: on-failure}\n"))
    plant.start_loop()
    wait_until(lambda: plant.condition("label", "Ready").get("reason") == "Completed", "the completion")
    assert plant.status("label")["status"] == "stopped"
    assert plant.daq("status").returncode == 0
    assert plant.daq("diff").returncode == 0


def test_a_program_that_writes_nothing_for_log_silence_is_restarted(plant: Plant) -> None:
    plant.write("label.yaml", program("label", "exec sleep 100", "  health: {logSilence: 2s}\n"))
    plant.start_loop()
    plant.wait_ready("label")
    before = plant.pids("label")
    wait_until(lambda: plant.pids("label") and plant.pids("label") != before, "a restart")
    wait_until(lambda: plant.status("label")["restart_count"] == 1, "the count")


def test_a_changed_config_file_restarts(plant: Plant) -> None:
    config = plant.root / "label.ini"
    config.write_text("speed=1\n")
    plant.write("label.yaml", program("label", "exec sleep 100", "  configFiles: [label.ini]\n"))
    plant.start_loop()
    plant.wait_ready("label")
    before = plant.pids("label")
    config.write_text("speed=2\n")
    wait_until(lambda: plant.pids("label") and plant.pids("label") != before, "a restart")
