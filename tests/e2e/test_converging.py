"""A manifest is saved, and the plant follows; nothing else moves."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.e2e.plant import Plant, collector, sleeper
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_readings_land_in_the_embedded_database(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.start_loop()
    plant.wait_ready("press", "local")
    wait_until(lambda: plant.rows("select * from samples where tag = 'first'"), "a row of `first`")
    status = plant.status("press")
    assert status["health"] == "healthy"
    points = status["points"]
    assert points["acquired"] == sum(v for k, v in points.items() if k != "acquired")


def test_an_edit_while_the_loop_is_away_is_one_field_in_diff_and_one_restart(plant: Plant) -> None:
    port = plant.device()
    for name in ("one", "two"):
        plant.write(f"{name}.yaml", collector(name, port))
    plant.start_loop()
    plant.wait_ready("one", "two", "local")
    assert plant.daq("diff").returncode == 0
    plant.end_loop()
    before = {name: plant.pids(name) for name in ("one", "two", "local")}
    plant.write("one.yaml", collector("one", port, interval="300ms"))
    found = plant.daq("diff")
    assert found.returncode == 1
    changes = [c for s in plant.json("diff")["steps"] for c in s["changes"]]
    assert [(c["field"], c["before"], c["after"], c["effect"]) for c in changes] == [
        ("spec.interval", "200ms", "300ms", "restart")
    ]
    plant.start_loop()
    wait_until(lambda: plant.pids("one") and plant.pids("one") != before["one"], "a new process of `one`")
    plant.wait_ready("one")
    assert plant.pids("two") == before["two"]
    assert plant.pids("local") == before["local"]
    assert plant.daq("diff").returncode == 0


def test_a_broken_file_stops_nothing_and_the_others_still_apply(plant: Plant) -> None:
    port = plant.device()
    plant.write("one.yaml", collector("one", port))
    plant.write("two.yaml", collector("two", port))
    plant.start_loop()
    plant.wait_ready("one", "two")
    one, two = plant.pids("one"), plant.pids("two")
    path = plant.write("one.yaml", collector("one", port).replace("interval: 200ms", "interval: [200ms"))
    plant.write("two.yaml", collector("two", port, interval="400ms"))
    wait_until(lambda: plant.pids("two") and plant.pids("two") != two, "`two` to follow its manifest")
    broken = wait_until(lambda: plant.condition("one", "ManifestInvalid"), "ManifestInvalid")
    assert f"{path.name}:" in broken["message"]
    assert plant.condition("one", "Ready")["status"] == "True"
    assert plant.pids("one") == one
    rows = "select count(*) from samples where collector = 'one'"
    ((count,),) = wait_until(lambda: plant.rows(rows), "the database")
    wait_until(lambda: plant.rows(rows)[0][0] > count, "`one` to read on")
    assert plant.daq("validate").returncode == 2


def test_a_killed_collector_is_back_within_a_second_and_a_half(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.start_loop()
    plant.wait_ready("press")
    (pid,) = plant.pids("press")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: plant.pids("press") not in ([pid], []), "a new process", 1.5)
    wait_until(lambda: plant.status("press")["restart_count"] == 1, "the restart in the status")
    assert plant.status("press")["last_termination"]["signal"] == signal.SIGKILL


def test_a_killed_reconciler_finds_its_collectors_again(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.write("sleep.yaml", sleeper("sleep", "  restart: {delay: 0s}\n"))
    plant.start_loop()
    plant.wait_ready("press", "sleep", "local")
    before = plant.pids()
    plant.end_loop(signal.SIGKILL)
    assert plant.pids() == before
    plant.start_loop()
    plant.wait_ready("press", "sleep", "local")
    assert plant.pids() == before
    assert plant.status("press")["restart_count"] == 0
    os.kill(plant.pids("sleep")[0], signal.SIGKILL)
    wait_until(lambda: set(plant.pids("sleep")) - set(before), "adopted ones are watched", 1.5)


def test_an_emptied_directory_stops_nothing_without_force(plant: Plant) -> None:
    for name in ("a", "b", "c"):
        plant.write(f"{name}.yaml", sleeper(name))
    plant.start_loop()
    plant.wait_ready("a", "b", "c")
    before = plant.pids()
    for path in plant.desired.iterdir():
        path.unlink()
    blocked = wait_until(lambda: plant.condition("a", "PruneBlocked"), "PruneBlocked")
    assert "--force" in blocked["message"]
    assert plant.pids() == before
    applied = plant.daq("apply", "--timeout", "3s")
    assert applied.returncode == 2
    assert plant.pids() == before
    plant.daq("apply", "--force")
    wait_until(lambda: not plant.pids(), "all to stop")


def test_a_missing_directory_stops_nothing_even_with_force(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plant.start_loop()
    plant.wait_ready("a")
    before = plant.pids()
    aside = plant.root / "aside"
    plant.desired.rename(aside)
    wait_until(lambda: "cannot read" in (plant.source()["error"] or ""), "the loop to notice", 6)
    assert plant.daq("apply", "--force", "--timeout", "2s").returncode == 2
    assert plant.pids() == before
    aside.rename(plant.desired)
    plant.write("b.yaml", sleeper("b"))
    wait_until(lambda: plant.pids("b"), "the loop to see the directory again", 6)
    assert plant.pids("a") == before


def test_a_swapped_link_is_noticed_within_five_seconds(plant: Plant) -> None:
    first, second = plant.root / "v1", plant.root / "v2"
    for directory in (first, second):
        directory.mkdir()
        (directory / "a.yaml").write_text(sleeper("a"))
    (second / "b.yaml").write_text(sleeper("b"))
    shutil.rmtree(plant.desired)
    plant.desired.symlink_to(first)
    plant.start_loop()
    plant.wait_ready("a")
    before = plant.pids("a")
    swap = plant.root / "swap"
    swap.symlink_to(second)
    swap.replace(plant.desired)
    wait_until(lambda: plant.pids("b"), "the new target", 6)
    (second / "c.yaml").write_text(sleeper("c"))
    wait_until(lambda: plant.pids("c"), "an edit in the new target", 6)
    assert plant.pids("a") == before


def test_apply_without_a_loop_converges_and_leaves_the_collectors_running(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    assert plant.daq("diff").returncode == 1
    applied = plant.daq("apply")
    assert applied.returncode == 0, applied.stderr
    assert plant.pids("a")
    assert plant.daq("diff").returncode == 0
    shown = plant.daq("status")
    assert shown.returncode == 0
    assert "no loop is running" in shown.stdout
    assert plant.daq("down").returncode == 0
    assert not plant.pids()


def test_down_ends_the_loop_too_and_says_so_by_its_exit_code(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    loop = plant.start_loop()
    plant.wait_ready("a")
    assert plant.daq("down").returncode == 0
    assert loop.wait(timeout=10) == 3
    assert not plant.pids()


def test_stop_on_exit_leaves_nothing_behind(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.start_loop("--stop-on-exit")
    plant.wait_ready("press", "local")
    assert plant.end_loop(signal.SIGINT) == 0
    assert not plant.pids()


def test_without_it_collectors_run_on_and_the_loop_says_how_to_stop_them(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plant.start_loop()
    plant.wait_ready("a")
    before = plant.pids()
    assert plant.end_loop() == 0
    assert plant.pids() == before
    assert "daq down" in plant.said()


def test_a_second_loop_on_one_state_directory_is_refused(plant: Plant) -> None:
    loop = plant.start_loop()
    second = plant.daq("run", "--listen", "none")
    assert second.returncode == 2
    assert str(loop.pid) in second.stderr


def test_hangup_reconciles_now(plant: Plant, tmp_path: Path) -> None:
    plant.start_loop()
    assert plant.loop is not None
    passes = plant.said().count("hang-up")
    plant.loop.send_signal(signal.SIGHUP)
    wait_until(lambda: plant.said().count("hang-up") > passes, "a pass after SIGHUP")
