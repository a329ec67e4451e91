"""What the lock of a name keeps out, and who may use a state directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import LiveFile, boot_id, write_json
from reconciler.model import StopPolicy
from reconciler.processes import StartError, StateDirError, lock_instance, locks, open_state_dir, proctable
from reconciler.processes.identity import state_id
from tests.reconciler.children import Plant, plant_in
from tests.waiting import wait_until

HOLD = """
import fcntl, os, sys, time
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with plant_in(tmp_path) as plant:
        yield plant


def hold(path: Path) -> subprocess.Popen[bytes]:
    path.parent.mkdir(exist_ok=True)
    arguments = [sys.executable, "-c", HOLD, str(path)]
    holder = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


def test_a_stranger_that_holds_the_lock_is_named_and_nothing_is_started(plant: Plant) -> None:
    with hold(plant.state.lock("a")) as stranger:
        assert "a" not in plant.look()
        assert plant.holders["a"].pid == stranger.pid
        assert "fcntl.flock(fd" in plant.holders["a"].command
        with pytest.raises(StartError, match="its lock is held") as refused:
            plant.processes.start(plant.spec("true"), LiveFile(), base=plant.root)
        assert refused.value.reason == "LockHeld"
        stranger.communicate(b"")
    plant.look()
    assert plant.holders == {}
    assert plant.ended == []


def test_a_holder_between_fork_and_exec_is_waited_for_and_not_signalled(plant: Plant) -> None:
    intent = {"instance": "i1", "digest": "d1", "boot_id": boot_id(), "log_from": 0}
    intent |= {"state_id": state_id(plant.state), "leader": None, "stopping": None}
    write_json(plant.state.root / "intents" / "a.json", intent)
    plant.forget()
    with hold(plant.state.lock("a")) as unborn:
        (instance,) = plant.look()["a"]
        assert (instance.instance, plant.holders) == ("i1", {})
        plant.processes.stop(instance, StopPolicy(), "Removed", time.monotonic())
        plant.processes.kill(instance)
        assert unborn.poll() is None
        unborn.communicate(b"")
        assert unborn.returncode == 0
    assert plant.wait_for_end().signal is None


def test_a_child_holds_its_lock_until_its_last_process_ends(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    assert locks.is_held(plant.state.lock("a"))
    assert locks.holder(plant.state.lock("a")).pid in {m.pid for m in instance.members}
    plant.processes.kill(instance)
    plant.wait_for_end()
    assert not locks.is_held(plant.state.lock("a"))
    assert plant.state.lock("a").exists()


def test_a_free_lock_does_not_make_a_name_free(plant: Plant) -> None:
    script = "import os, time; os.closerange(3, 100); print('closed', flush=True); time.sleep(60)"
    plant.start(sys.executable, "-c", script)
    wait_until(plant.log, "the descriptors to be closed")
    assert not locks.is_held(plant.state.lock("a"))
    assert "a" in plant.look()
    with pytest.raises(StartError, match="still alive"):
        plant.processes.start(plant.spec("true"), LiveFile(), base=plant.root)


def test_a_second_reconciler_of_one_state_directory_is_refused_by_name(tmp_path: Path) -> None:
    state = open_state_dir(tmp_path / "state")
    with hold(state.root / "instance.lock") as first:
        with pytest.raises(StateDirError, match=rf"pid {first.pid} \(.*fcntl.*\) is working on it"):
            lock_instance(state)
        first.communicate(b"")
    os.close(lock_instance(state))


def test_a_state_directory_is_private_and_keeps_its_id(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o755)
    state = open_state_dir(tmp_path / "state")
    assert stat.S_IMODE(state.root.stat().st_mode) == 0o700
    before = (state.root / "id").read_text()
    assert open_state_dir(tmp_path / "state") == state
    assert (state.root / "id").read_text() == before


def test_a_state_directory_reached_by_a_link_is_one_and_the_same(tmp_path: Path) -> None:
    state = open_state_dir(tmp_path / "state")
    (tmp_path / "link").symlink_to("state")
    assert open_state_dir(tmp_path / "link") == state


def test_a_file_in_place_of_a_state_directory_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StateDirError, match="cannot use state directory"):
        open_state_dir(tmp_path / "state")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_a_state_directory_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 12345, -1)
    with pytest.raises(
        StateDirError, match="it belongs to #12345, and we are root; try: sudo -u '#12345' daq"
    ):
        open_state_dir(tmp_path / "state")


def test_a_table_that_cannot_be_read_whole_ends_and_frees_nothing(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant.start("sleep", "60")

    def too_many(*_: object) -> bytes:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(proctable, "_read", too_many)
        observed = plant.processes.observe({})
    assert not observed.complete
    assert observed.ended == ()
    assert "a" in observed.instances
    assert "a" in plant.look()
