"""What hangs or grows is replaced with its reason, and what does not stop holds nobody up."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from collectors.contract import StateDir
from reconciler.events import EventLog
from tests.e2e.plant import Plant, collector, sleeper
from tests.e2e.test_exec import program
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

GROWING = "exec python3 -c 'import time; kept = bytes(range(256)) * 250000; time.sleep(1000)'"


def events(plant: Plant, name: str, reason: str) -> list[dict[str, Any]]:
    return [e for e in EventLog(StateDir(plant.state)).read(name=name) if e["reason"] == reason]


def replaced(plant: Plant, name: str, before: list[int], why: str) -> None:
    """Waits until another process is Ready in its place, and the reason was told."""
    wait_until(lambda: plant.pids(name) and not set(plant.pids(name)) & set(before), "its replacement", 40)
    wait_until(lambda: plant.status(name)["restart_count"] == 1, "its restart to be told")
    plant.wait_ready(name)
    told = [e["message"] for kind in ("Stopping", "Killed", "Ended") for e in events(plant, name, kind)]
    assert any(why in message for message in told), told


def test_a_collector_that_does_not_report_is_replaced(plant: Plant) -> None:
    port = plant.device()
    extra = "  health: {staleAfter: 12s}\n  stop: {grace: 500ms}\n  restart: {delay: 0s}\n"
    plant.write("hung.yaml", collector("hung", port, extra=extra))
    plant.write("calm.yaml", collector("calm", port, extra="  health: {staleAfter: 12s}\n"))
    plant.start_loop()
    plant.wait_ready("hung", "calm")
    hung, calm = plant.pids("hung"), plant.pids("calm")
    os.kill(hung[0], signal.SIGSTOP)
    replaced(plant, "hung", hung, "ReportStale")
    assert plant.pids("calm") == calm


def test_a_program_above_its_memory_limit_is_replaced(plant: Plant) -> None:
    extra = "  resources: {memory: 30MiB}\n  stop: {grace: 500ms}\n  restart: {delay: 0s}\n"
    plant.write(
        "big.yaml", program("big", f"[ -e small ] || {{ touch small; {GROWING}; }}; exec sleep 1000", extra)
    )
    plant.write("calm.yaml", sleeper("calm", extra))
    plant.start_loop()
    wait_until(lambda: plant.pids("big"), "its start")
    big, calm = plant.pids("big"), plant.pids("calm")
    replaced(plant, "big", big, "MemoryLimit")
    assert plant.pids("calm") == calm


def test_one_that_will_not_stop_delays_no_other(plant: Plant) -> None:
    deaf = "  stop: {grace: 60s}\n"
    plant.write("deaf.yaml", program("deaf", "trap '' TERM; while :; do sleep 1; done", deaf))
    for name in ("edited", "removed"):
        plant.write(f"{name}.yaml", sleeper(name))
    plant.start_loop()
    plant.wait_ready("deaf", "edited", "removed")
    before = plant.pids("edited")
    plant.write("deaf.yaml", program("deaf", "exec sleep 1", deaf))
    wait_until(lambda: plant.status("deaf")["status"] == "stopping", "the slow stop")
    plant.write("edited.yaml", sleeper("edited").replace("100000", "100001"))
    (plant.desired / "removed.yaml").unlink()
    plant.write("new.yaml", sleeper("new"))
    plant.wait_ready("new")
    wait_until(lambda: plant.pids("edited") and plant.pids("edited") != before, "the edited one")
    wait_until(lambda: not plant.pids("removed"), "the removed one to go")
    assert plant.status("deaf")["status"] == "stopping"
    os.kill(plant.pids("deaf")[0], signal.SIGKILL)
