"""Whatever becomes of the state directory, the loop goes on, and no process is lost or doubled."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.plant import DAQ, Plant, sleeper
from tests.processtable import processes
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

NAMES = ("a", "b", "c")
SOON = "  restart: {delay: 0s}\n"


def running(plant: Plant) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for seen in processes(plant.state):
        found.setdefault(seen.name, []).append(seen.pid)
    return found


def started(plant: Plant) -> dict[str, list[int]]:
    for name in NAMES:
        plant.write(f"{name}.yaml", sleeper(name, SOON))
    plant.start_loop()
    plant.wait_ready(*NAMES)
    return running(plant)


@contextmanager
def limited(pid: int, what: int, soft: int) -> Iterator[None]:
    """A limit of a running process, taken away again."""
    before = resource.prlimit(pid, what, (soft, resource.prlimit(pid, what)[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, before)


@pytest.mark.parametrize(
    ("what", "soft"), [(resource.RLIMIT_FSIZE, 1), (resource.RLIMIT_NOFILE, 3)], ids=["disk full", "EMFILE"]
)
def test_without_disk_or_descriptors_the_loop_goes_on_and_mends_itself_after(
    plant: Plant, what: int, soft: int
) -> None:
    before = started(plant)
    assert plant.loop is not None
    with limited(plant.loop.pid, what, soft):
        os.kill(before["a"][0], signal.SIGKILL)
        plant.write("b.yaml", sleeper("b", SOON).replace("100000", "100001"))
        plant.write("d.yaml", sleeper("d"))
        with pytest.raises(subprocess.TimeoutExpired):
            plant.loop.wait(timeout=3)
        assert running(plant)["c"] == before["c"]
    plant.wait_ready(*NAMES, "d")
    after = running(plant)
    assert after["c"] == before["c"]
    assert {name: len(pids) for name, pids in after.items()} == dict.fromkeys((*NAMES, "d"), 1)
    assert plant.status("a")["restart_count"] >= 1


def test_garbage_in_every_file_stops_and_doubles_nothing(plant: Plant) -> None:
    before = started(plant)
    plant.end_loop(signal.SIGKILL)
    (plant.state / "control.sock").unlink()
    for path in [p for p in plant.state.rglob("*") if p.is_file() and "lock" not in str(p)]:
        path.write_bytes(b"\0\xffnot what it was")
    (plant.state / "control.sock").mkdir()
    for folder in ("records", "intents", "live", "specs", "status", "good", "reports"):
        (plant.state / folder / "foreign.json").mkdir(parents=True)
        (plant.state / folder / "stranger.json").write_text("[]")
    plant.start_loop()
    plant.wait_ready(*NAMES)
    assert running(plant) == before
    os.kill(before["a"][0], signal.SIGKILL)
    wait_until(lambda: running(plant).get("a") not in (None, before["a"]), "the restart")
    plant.wait_ready(*NAMES)
    assert {name: len(pids) for name, pids in running(plant).items()} == dict.fromkeys(NAMES, 1)
    assert plant.daq("apply").returncode == 0


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_an_edit_from_another_time_of_day_counts(plant: Plant, step_s: int) -> None:
    before = started(plant)
    path = plant.write("a.yaml", sleeper("a", SOON).replace("100000", "100001"))
    os.utime(path, (time.time() + step_s,) * 2)
    wait_until(lambda: running(plant).get("a") not in (None, before["a"]), "the restart")
    assert running(plant)["b"] == before["b"]


def test_of_two_loops_started_at_once_one_works_and_one_names_it(plant: Plant) -> None:
    plant.write("a.yaml", sleeper("a"))
    loops = [
        subprocess.Popen(
            [DAQ, "run", "--listen", "none"], cwd=plant.root, env=plant.environ, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    wait_until(lambda: any(p.poll() is not None for p in loops), "one to give up", 30)
    gave_up, works = sorted(loops, key=lambda p: p.poll() is None)
    assert works.poll() is None
    assert gave_up.stderr is not None
    assert works.stderr is not None
    assert gave_up.returncode == 2
    assert f"pid {works.pid}" in gave_up.stderr.read().decode()
    plant.wait_ready("a")
    assert len(running(plant)["a"]) == 1
    plant.daq("down")
    works.wait(timeout=30)
    for loop in loops:
        assert loop.stderr is not None
        loop.stderr.close()


def test_a_state_directory_with_a_very_long_path_works(tmp_path: Path) -> None:
    root = tmp_path.joinpath(*["long" * 30] * 3)
    root.mkdir(parents=True)
    plant = Plant(root)
    try:
        before = started(plant)
        assert plant.daq("apply").returncode == 0
        assert running(plant) == before
    finally:
        plant.close()
    assert not running(plant)


def test_a_copy_is_a_plant_of_its_own(plant: Plant, tmp_path: Path) -> None:
    before = started(plant)
    shutil.copytree(plant.root / ".daq", tmp_path / "copy" / ".daq", ignore=shutil.ignore_patterns("*.sock"))
    shutil.rmtree(tmp_path / "copy" / "desired", ignore_errors=True)
    copy = Plant(tmp_path / "copy")
    try:
        for name in NAMES:
            copy.write(f"{name}.yaml", sleeper(name, SOON))
        copy.start_loop()
        copy.wait_ready(*NAMES)
        assert {name: len(pids) for name, pids in running(copy).items()} == dict.fromkeys(NAMES, 1)
        assert copy.status("a")["restart_count"] == 0
    finally:
        copy.close()
    assert running(plant) == before


def test_a_moved_directory_finds_its_processes_by_their_locks(plant: Plant) -> None:
    before = started(plant)
    plant.end_loop(signal.SIGKILL)
    old, plant.state = plant.state, plant.root / ".moved"
    old.rename(plant.state)
    try:
        loop = plant.start_loop("--state-dir", str(plant.state))
        assert {p.name: [p.pid] for p in processes(old)} == before
        assert not running(plant)
    finally:
        assert plant.daq("down", "--state-dir", str(plant.state)).returncode == 0
        assert not processes(old)
        assert loop.wait(timeout=30) == 3
        plant.loop = None


def test_200_collectors_are_adopted_within_2_s_and_none_is_touched(plant: Plant) -> None:
    names = [f"s{n}" for n in range(200)]
    plant.write("all.yaml", "---\n".join(sleeper(name) for name in names))
    plant.start_loop()
    plant.wait_ready(*names, deadline_s=60)
    before = running(plant)
    plant.end_loop(signal.SIGKILL)
    begin = time.monotonic()
    loop = plant.start_loop("--listen", "none")
    took = time.monotonic() - begin
    assert running(plant) == before
    assert json.loads((plant.state / "status.json").read_bytes())["reconciler"]["pid"] == loop.pid
    assert all(plant.status(name)["restart_count"] == 0 for name in names)
    print(f"200 adopted {took:.2f} s after the start of the loop")
    assert took < 2.0
