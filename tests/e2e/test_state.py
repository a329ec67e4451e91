"""`daq start` and `daq stop` write what is wanted; the loop, or a commit, makes it so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.plant import Plant, collector, sleeper
from tests.repository import Repository
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

COMMENTED = "# keep me\n" + sleeper("a") + "  # and me\n"


def test_a_running_loop_follows_what_is_written(plant: Plant) -> None:
    file = plant.write("a.yaml", COMMENTED)
    plant.start_loop()
    plant.wait_ready("a")
    stopped = plant.daq("stop", "a")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout == "desired/a.yaml:7: a: + state: stopped\n"
    assert file.read_text() == COMMENTED.replace("type: exec\n", "type: exec\n  state: stopped\n")
    wait_until(lambda: not plant.pids("a"), "it to be stopped")
    assert plant.daq("start", "--all").returncode == 0
    plant.wait_ready("a")


def test_nobody_is_stopped_by_half(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    plant.write("b.yaml", "x: &m {type: exec}\n" + sleeper("b").replace("type: exec", "type: *nothing"))
    assert plant.daq("stop", "a", "b").returncode == 2
    assert (plant.desired / "a.yaml").read_text() == sleeper("a")
    assert plant.daq("stop").returncode == 2
    assert "daq status" in plant.daq("stop", "nobody").stderr


def test_a_commit_holds_the_change_and_nothing_else(plant: Plant) -> None:
    repository = Repository(plant.root)
    plant.write("a.yaml", COMMENTED)
    plant.write("b.yaml", sleeper("b"))
    repository.commit({})
    repository.git("config", "user.name", "A")
    repository.git("config", "user.email", "a@example.org")
    plant.write("b.yaml", sleeper("b") + "# half an idea\n")
    assert plant.daq("stop", "b", "--commit").returncode == 2
    done = plant.daq("stop", "a", "--commit")
    assert done.returncode == 0, done.stderr
    assert repository.git("show", "--stat", "--format=%s", "HEAD").startswith(
        "daq stop a\n\n desired/a.yaml | 1 +"
    )
    assert repository.git("status", "--porcelain").splitlines()[0] == "M desired/b.yaml"


def test_without_a_work_tree_there_is_a_patch_to_commit(plant: Plant, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit({"desired/a.yaml": COMMENTED})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    refused = plant.daq("stop", "a", "--git", str(tmp_path / "bare.git"))
    assert (refused.returncode, "git apply" in refused.stderr) == (2, True)
    patch = tmp_path / "stop.patch"
    patch.write_text(refused.stdout)
    repository.git("apply", str(patch))
    assert "  state: stopped\n" in (repository.root / "desired" / "a.yaml").read_text()


def test_health_is_of_the_loop_or_of_one_collector(plant: Plant) -> None:
    assert plant.daq("health").returncode == 1
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.start_loop()
    plant.wait_ready("press")
    assert plant.daq("health").returncode == 0
    assert plant.daq("health", "--name", "press").returncode == 0
    missing = plant.daq("health", "--name", "nobody")
    assert (missing.returncode, "nobody" in missing.stderr) == (1, True)
