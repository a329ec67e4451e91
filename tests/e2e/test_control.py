"""What people ask for between manifests: pauses, restarts, plans, waiting; and what they are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from typing import Any

import pytest

from collectors.contract import StateDir
from reconciler.events import EventLog
from tests.e2e.plant import DAQ, Plant, collector, sleeper
from tests.e2e.test_seeing import get
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

FAILING = """apiVersion: daq/v1
kind: Collector
metadata: {name: failing}
spec:
  type: exec
  command: [sh, -c, "echo no licence; exit 78"]
"""


def other(name: str) -> str:
    """A sleeper whose digest differs."""
    return sleeper(name).replace("100000", "100001")


def told(plant: Plant, name: str | None = None) -> list[str]:
    """Reasons of the events so far."""
    lines = plant.daq("events", *([name] if name else []), "-o", "json", "-n", "1000").stdout.splitlines()
    return [json.loads(line)["reason"] for line in lines]


def test_a_paused_name_is_left_alone_and_follows_its_manifest_when_resumed(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plant.start_loop()
    plant.wait_ready("a")
    before = plant.pids("a")
    paused = plant.daq("pause", "a", "--for", "2h", "--reason", "valve is open")
    assert paused.returncode == 0, paused.stderr
    assert plant.status("a")["health"] == "paused"
    assert "valve is open" in plant.condition("a", "Paused")["message"]
    plant.write("a.yaml", other("a"))
    plant.write("b.yaml", sleeper("b"))
    plant.wait_ready("b")
    assert plant.pids("a") == before
    shown = plant.daq("diff")
    assert shown.returncode == 0
    assert "valve is open" in shown.stdout
    assert plant.daq("restart", "a").returncode == 2
    assert plant.daq("resume", "a").returncode == 0
    wait_until(lambda: plant.pids("a") not in (before, []), "`a` to follow its manifest")
    assert plant.daq("resume", "a").returncode == 2
    assert plant.daq("pause", "nobody", "--for", "1h", "--reason", "x").returncode == 2
    assert {"Paused", "Resumed"} <= set(told(plant, "a"))


def test_a_paused_name_that_crashes_is_started_as_it_was(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plant.start_loop()
    plant.wait_ready("a")
    digest = plant.status("a")["digest"]
    plant.daq("pause", "a", "--for", "2h", "--reason", "valve is open")
    plant.write("a.yaml", other("a"))
    (pid,) = plant.pids("a")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: plant.pids("a") not in ([pid], []), "the restart")
    plant.wait_ready("a")
    assert plant.status("a")["digest"] == digest
    assert plant.status("a")["health"] == "paused"


def test_a_pause_works_without_a_loop_outlives_it_and_ends_by_itself(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    assert plant.daq("apply").returncode == 0
    assert plant.daq("pause", "a", "--for", "1h", "--reason", "cleaning", "--stopped").returncode == 0
    assert plant.json("status")["processes"][0]["health"] == "paused"
    plant.start_loop()
    wait_until(lambda: not plant.pids("a"), "`a` to be kept stopped")
    assert plant.status("a")["health"] == "paused"
    assert plant.daq("pause", "a", "--for", "1s", "--reason", "done soon", "--stopped").returncode == 0
    wait_until(lambda: plant.pids("a"), "the pause to run out")
    plant.wait_ready("a")
    assert not plant.condition("a", "Paused")


def test_a_restart_happens_once_and_edits_no_file(plant: Plant) -> None:
    path = plant.write("a.yaml", sleeper("a"))
    text = path.read_text()
    plant.start_loop()
    plant.wait_ready("a")
    before = plant.pids("a")
    done = plant.daq("restart", "a")
    assert done.returncode == 0, done.stderr
    after = plant.pids("a")
    assert after not in (before, [])
    plant.wait_ready("a")
    assert plant.status("a")["restart_count"] == 0
    plant.end_loop()
    plant.start_loop()
    plant.wait_ready("a")
    assert plant.pids("a") == after
    assert path.read_text() == text
    assert plant.daq("restart", "nobody").returncode == 2


def test_a_restart_asked_without_a_loop_is_done_by_the_next(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    assert plant.daq("apply").returncode == 0
    before = plant.pids("a")
    asked = plant.daq("restart", "a")
    assert asked.returncode == 1
    assert "no loop is running" in asked.stderr
    assert plant.pids("a") == before
    assert "RestartAsked" in plant.daq("diff").stdout
    assert plant.daq("apply").returncode == 0
    assert plant.pids("a") not in (before, [])
    assert plant.daq("diff").returncode == 0


def test_a_restart_releases_a_hold(plant: Plant) -> None:
    plant.write("failing.yaml", FAILING)
    plant.start_loop()
    wait_until(lambda: plant.condition("failing", "Stalled"), "the hold")
    ends = told(plant, "failing").count("Ended")
    plant.daq("restart", "failing", "--timeout", "2s")
    wait_until(lambda: told(plant, "failing").count("Ended") == ends + 1, "another try")


def test_apply_does_not_wait_for_what_is_held_and_says_why(plant: Plant) -> None:
    plant.write("failing.yaml", FAILING)
    plant.write("a.yaml", sleeper("a"))
    for _ in range(2):  # without a loop, then through one
        begin = time.monotonic()
        done = plant.daq("apply", "--timeout", "50s", timeout=55)
        assert (done.returncode, time.monotonic() - begin < 20) == (1, True)
        assert "failing: " in done.stderr
        assert len(plant.pids("a")) == 1
        plant.start_loop()
        plant.end_loop()


def test_a_plan_that_moved_is_refused_and_one_that_did_not_is_applied(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plan = plant.json("diff")["plan"]
    plant.write("b.yaml", sleeper("b"))
    refused = plant.daq("apply", "--plan", plan)
    assert refused.returncode == 2
    assert "the plan has moved" in refused.stderr
    assert "b" in refused.stderr
    assert not plant.pids()
    printed = plant.daq("diff").stdout.split()[-1]
    assert plant.daq("apply", "--plan", printed).returncode == 0
    assert plant.pids("a") and plant.pids("b")
    plant.start_loop()
    assert plant.daq("apply", "--plan", printed).returncode == 2


def test_wait_tells_by_its_exit_code_what_it_waited_for(plant: Plant) -> None:
    port = plant.device()
    plant.start_loop()
    plant.write("press.yaml", collector("press", port))
    assert plant.daq("wait", "press", "--for", "healthy", "--timeout", "20s").returncode == 0
    assert plant.status("press")["health"] == "healthy"
    assert plant.daq("wait").returncode == 0
    late = plant.daq("wait", "nobody", "--timeout", "300ms")
    assert late.returncode == 1
    assert "nobody" in late.stderr
    assert plant.daq("wait", "--revision", "abc123", "--timeout", "300ms").returncode == 1
    assert plant.daq("wait", "--timeout", "soon").returncode == 2


def test_events_are_numbered_without_gaps_over_loops_and_endpoint_and_command_agree(plant: Plant) -> None:
    port = plant.device()
    path = plant.write("press.yaml", collector("press", port))
    good = path.read_text()
    plant.start_loop()
    plant.wait_ready("press", "local")
    path.write_text(good.replace("interval: 200ms", "interval: [200ms"))
    wait_until(lambda: plant.condition("press", "ManifestInvalid"), "a broken manifest")
    path.write_text(good)
    wait_until(lambda: not plant.condition("press", "ManifestInvalid"), "a mended one")
    plant.end_loop()
    plant.start_loop()
    (pid,) = plant.pids("press")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "Ended" in told(plant, "press"), "the end to be told")
    reasons = told(plant, "press")
    order = ["Started", "Ready", "ManifestBroken", "ManifestMended", "Ended"]
    assert [r for r in reasons if r in order][:5] == order
    wait_until(lambda: plant.condition("press", "Ready").get("status") == "True", "calm")
    _, served, _ = get(f"{plant.url}/api/events")
    assert [e["number"] for e in served] == list(range(1, len(served) + 1))
    _, newer, _ = get(f"{plant.url}/api/events?after=3")
    assert [e["number"] for e in newer][:1] == [4]
    ended = next(e for e in served if e["reason"] == "Ended")
    assert "next start in" in ended["message"]
    assert get(f"{plant.url}/api/events?after=x")[0] == 400


def test_the_beginning_and_the_end_of_a_loop_are_told_a_killed_one_by_the_next(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plant.start_loop()
    plant.wait_ready("a")
    plant.end_loop()
    plant.start_loop()
    plant.end_loop(signal.SIGKILL)
    plant.start_loop()
    told = [e for e in EventLog(StateDir(plant.state)).read() if e["reason"] in ("LoopStarted", "LoopEnded")]
    assert [e["reason"] for e in told] == ["LoopStarted", "LoopEnded", "LoopStarted", "LoopStarted"]
    assert told[1]["message"] == "1 keep running without the loop"
    assert [e["message"].endswith("the one before it was killed") for e in told] == [
        False,
        False,
        False,
        True,
    ]


def test_a_lost_device_and_its_return_are_told(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.start_loop()
    plant.wait_ready("press", "local")
    wait_until(lambda: plant.status("press")["health"] == "healthy", "health")
    device = plant.devices.pop()
    device.kill()
    device.wait()
    assert device.stdout is not None
    device.stdout.close()
    wait_until(lambda: "DeviceLost" in told(plant, "press"), "the loss")
    plant.device(port=port)
    wait_until(lambda: "DeviceBack" in told(plant, "press"), "the return", 20)


def test_logs_are_shown_followed_and_served(plant: Plant) -> None:
    script = "i=0; while true; do i=$((i+1)); echo line $i; sleep 0.1; done"
    plant.write("talk.yaml", sleeper("talk").replace('[sleep, "100000"]', f'[sh, -c, "{script}"]'))
    plant.start_loop()
    wait_until(lambda: "line 3" in plant.daq("logs", "talk").stdout, "three lines")
    assert len(plant.daq("logs", "talk", "-n", "2").stdout.splitlines()) == 2
    with urllib.request.urlopen(f"{plant.url}/api/processes/talk/logs?tail=1", timeout=10) as answer:
        assert answer.read().startswith(b"line ")
        assert answer.headers["Content-Type"].startswith("text/plain")
    assert get(f"{plant.url}/api/processes/nobody/logs")[0] == 404
    assert plant.daq("logs", "nobody").returncode == 2
    follower = subprocess.Popen(
        [DAQ, "logs", "talk", "-f", "-n", "0"], cwd=plant.root, env=plant.environ, stdout=subprocess.PIPE
    )
    assert follower.stdout is not None
    try:
        first = int(follower.stdout.readline().split()[1])
        assert int(follower.stdout.readline().split()[1]) == first + 1
    finally:
        follower.kill()
        follower.wait()
        follower.stdout.close()


def test_a_renamed_collector_never_has_two_pollers(plant: Plant) -> None:
    script = (
        "echo begin $DAQ_NAME >> polls; trap 'sleep 0.5; echo end $DAQ_NAME >> polls; exit 0' TERM; "
        "while true; do sleep 0.05; done"
    )

    def poller(name: str) -> str:
        return sleeper(name).replace('[sleep, "100000"]', f'[sh, -c, "{script}"]')

    path = plant.write("a.yaml", poller("old"))
    plant.start_loop()
    plant.wait_ready("old")
    path.write_text(poller("new"))
    plant.wait_ready("new")
    assert (plant.root / "polls").read_text().splitlines() == ["begin old", "end old", "begin new"]


def test_many_starts_take_turns_where_they_are_spawned_and_all_come(plant: Plant) -> None:
    plant.spawn_all()
    port = plant.device()
    names = [f"c{n}" for n in range(8)]
    for name in names:
        plant.write(f"{name}.yaml", collector(name, port, interval="1s"))
    plant.start_loop()
    starting: set[int] = set()
    begin = time.monotonic()
    while time.monotonic() - begin < 60:
        found: list[dict[str, Any]] = [plant.status(name) for name in names]
        starting.add(sum(s.get("pid") is not None and not reports(plant, s["name"]) for s in found))
        if all(reports(plant, name) for name in names):
            break
    plant.wait_ready(*names, deadline_s=60)
    assert max(starting) <= 2 * (os.cpu_count() or 1)


def reports(plant: Plant, name: str) -> bool:
    return (plant.state / "reports" / f"{name}.json").exists()
