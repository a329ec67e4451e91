"""A reconciler that was killed at any moment, and the one after it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import LiveFile, read_json, write_json
from reconciler.model import StopPolicy
from reconciler.processes import Processes, StartError, open_state_dir
from reconciler.processes.identity import state_id
from tests.reconciler.children import Plant, alive, kill, plant_in
from tests.waiting import wait_until

STARTER = """
import os, signal, sys
from pathlib import Path
from collectors.contract import LiveFile, SpecFile
from reconciler.model import StopPolicy
from reconciler.processes import Processes, open_state_dir
processes = Processes(open_state_dir(Path(sys.argv[1])))
for name in sys.argv[3:]:
    spec = SpecFile("Collector", name, "d1", {"type": "exec", "command": ["sh", "-c", sys.argv[2]]})
    processes.start(spec, LiveFile(), base=Path("/"))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with plant_in(tmp_path) as plant:
        yield plant


def start_by_another(plant: Plant, script: str, *names: str) -> None:
    """Start children by a reconciler that is SIGKILLed at once."""
    arguments = [sys.executable, "-c", STARTER, str(plant.state.root), script, *(names or ("a",))]
    assert subprocess.run(arguments, check=False).returncode == -signal.SIGKILL
    plant.forget()
    wait_until(lambda: len(plant.look()) == max(1, len(names)), "the orphans")


REAPER = """
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
subprocess.run(sys.argv[1:])
sys.stdin.read()
try:
    while True:
        os.wait()
except ChildProcessError:
    pass
"""


@contextmanager
def orphans(plant: Plant, script: str, *names: str, reaped: bool = True) -> Iterator[None]:
    """The same below a process that reaps orphans at once, as an init does, or only when this is over."""
    arguments = [sys.executable, "-c", REAPER, sys.executable, "-c", STARTER, str(plant.state.root), script]
    stdin = subprocess.DEVNULL if reaped else subprocess.PIPE
    with subprocess.Popen([*arguments, *(names or ("a",))], stdin=stdin) as reaper:
        wait_until(lambda: len(plant.look()) == max(1, len(names)), "the orphans")
        plant.forget()
        wait_until(lambda: len(plant.look()) == max(1, len(names)), "the orphans again")
        yield
        plant.close()
        if reaper.stdin:
            reaper.stdin.close()
        reaper.wait(10)
        plant.forget()


def claim(plant: Plant, instance: str, digest: str) -> dict[str, str]:
    """The variables by which a process says that it is a start of name a."""
    return {
        "DAQ_STATE_DIR": str(plant.state.root),
        "DAQ_NAME": "a",
        "DAQ_INSTANCE": instance,
        "DAQ_DIGEST": digest,
    }


def kernel_tells_exits() -> bool:
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor.split("-")[0])) >= (6, 15)


needs_exit_info = pytest.mark.skipif(not kernel_tells_exits(), reason="exits are told since Linux 6.15")


def test_another_reconciler_finds_the_same_process_and_starts_no_second(plant: Plant) -> None:
    before = plant.start("sleep", "60")
    plant.forget()
    assert plant.look()["a"][0].leader == before.leader
    with pytest.raises(StartError, match="still alive"):
        plant.processes.start(plant.spec("true"), LiveFile(), base=plant.root)


@needs_exit_info
def test_the_exit_code_of_an_adopted_process_is_exact(plant: Plant) -> None:
    go = plant.root / "go"
    with orphans(plant, f"while [ ! -e {go} ]; do sleep 0.01; done; exit 78"):
        go.touch()
        end = plant.wait_for_end()
        assert (end.exit_code, end.signal, end.observed_by) == (78, None, "pidfd")


@needs_exit_info
def test_the_signal_that_ended_an_adopted_process_is_exact(plant: Plant) -> None:
    with orphans(plant, "exec sleep 60"):
        (instance,) = plant.look()["a"]
        assert instance.leader is not None
        kill(instance.leader.pid, signal.SIGQUIT)
        end = plant.wait_for_end()
        assert (end.exit_code, end.signal, end.observed_by) == (None, signal.SIGQUIT, "pidfd")


@pytest.mark.parametrize(
    ("script", "code", "number"), [("exit 78", 78, None), ("kill -QUIT $$", None, signal.SIGQUIT)]
)
def test_an_exit_is_known_before_an_init_that_takes_its_time_reaps(
    plant: Plant, script: str, code: int | None, number: int | None
) -> None:
    go = plant.root / "go"
    with orphans(plant, f"while [ ! -e {go} ]; do sleep 0.01; done; {script}", reaped=False):
        go.touch()
        end = plant.wait_for_end()
        assert (end.exit_code, end.signal, end.observed_by) == (code, number, "pidfd")


def test_an_end_that_nobody_saw_has_no_code(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    assert instance.leader is not None
    plant.processes.close()
    kill(instance.leader.pid)
    os.waitid(os.P_PID, instance.leader.pid, os.WEXITED)
    plant.forget()
    end = plant.wait_for_end()
    assert end.instance == instance.instance
    assert (end.exit_code, end.signal, end.observed_by) == (None, None, "none")


def intended(plant: Plant, name: str, **more: Any) -> None:
    """A start that was on disk when its reconciler died."""
    intent = {"instance": "i1", "digest": "d1", "boot_id": "another", "log_from": 0} | more
    intent |= {"state_id": state_id(plant.state), "leader": None, "stopping": None}
    write_json(plant.state.root / "intents" / f"{name}.json", intent)


def test_a_crash_between_intent_and_fork_is_no_end(plant: Plant) -> None:
    intended(plant, "b")
    plant.forget()
    plant.look()
    assert plant.ended == []


def test_a_start_of_which_only_output_is_left_is_told_as_an_unseen_end(plant: Plant) -> None:
    intended(plant, "b")
    plant.state.log("b").parent.mkdir()
    plant.state.log("b").write_text("hello\n")
    plant.forget()
    end = plant.wait_for_end("b")
    assert (end.instance, end.observed_by, end.tail) == ("i1", "none", "hello")


def test_a_stop_that_was_noted_but_not_sent_is_asked_anew(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    intent = plant.state.root / "intents" / "a.json"
    stopping = {"since": 1.0, "kill_at": 2.0, "reason": "Removed"}
    write_json(intent, read_json(intent) | {"stopping": stopping, "sent": False})
    plant.forget()
    (found,) = plant.look()["a"]
    assert (found.leader, found.stopping) == (instance.leader, None)


def test_a_crash_between_fork_and_record_loses_nothing(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    (plant.state.root / "intents" / "a.json").unlink()
    plant.forget()
    (found,) = plant.look()["a"]
    assert (found.instance, found.leader) == (instance.instance, instance.leader)


def test_a_stop_under_way_is_known_to_the_next_reconciler(plant: Plant) -> None:
    instance = plant.shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")
    wait_until(lambda: "ready" in plant.log(), "the trap")
    plant.processes.stop(instance, StopPolicy(), "Removed", time.monotonic())
    asked = plant.look()["a"][0].stopping
    plant.forget()
    assert asked is not None
    assert plant.look()["a"][0].stopping == asked


def test_the_session_of_a_leader_that_died_unseen_is_ours_by_its_lock(plant: Plant) -> None:
    instance = plant.shell("env -i sleep 60 & echo $!; wait")
    grandchild = int(wait_until(lambda: plant.log().strip(), "the grandchild"))
    wait_until(lambda: b"DAQ" not in Path(f"/proc/{grandchild}/environ").read_bytes(), "its exec")
    assert instance.leader is not None
    plant.processes.close()
    kill(instance.leader.pid)
    os.waitid(os.P_PID, instance.leader.pid, os.WEXITED)
    plant.forget()
    (found,) = plant.look()["a"]
    assert (found.instance, found.leader) == (instance.instance, None)
    plant.processes.kill(found)
    plant.wait_for_end()
    assert not alive(grandchild)


def test_two_live_starts_of_one_name_are_both_shown(plant: Plant) -> None:
    plant.start("sleep", "60")
    environ = os.environ | claim(plant, "other", "d0")
    with subprocess.Popen(["sleep", "60"], env=environ, start_new_session=True) as second:
        instances = wait_until(lambda: [i for i in plant.look()["a"] if len(plant.look()["a"]) == 2], "both")
        assert {i.digest for i in instances} == {"d0", "d1"}
        plant.processes.kill(next(i for i in instances if i.digest == "d0"))
        assert second.wait(10) == -signal.SIGKILL
    assert plant.look()["a"][0].digest == "d1"


def test_a_process_started_by_hand_from_a_childs_environment_is_a_member(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    assert instance.leader is not None
    raw = Path(f"/proc/{instance.leader.pid}/environ").read_text()
    environ = dict(part.partition("=")[::2] for part in raw.rstrip("\0").split("\0"))
    with subprocess.Popen(["sleep", "60"], env=environ, start_new_session=True) as by_hand:
        wait_until(lambda: by_hand.pid in {m.pid for m in plant.look()["a"][0].members}, "the member")
        plant.processes.kill(plant.look()["a"][0])
        assert by_hand.wait(10) == -signal.SIGKILL


def test_a_shell_that_only_shares_a_session_with_our_process_is_no_member(plant: Plant) -> None:
    visitor = " ".join(f"{k}={v}" for k, v in claim(plant, "by-hand", "d0").items())
    script = f"env {visitor} sleep 60 & wait; exec sleep 60"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as shell:
        (instance,) = wait_until(lambda: plant.look().get("a", ()), "the visitor")
        assert shell.pid not in {m.pid for m in instance.members}
        plant.processes.kill(instance)
        plant.wait_for_end()
        assert shell.poll() is None
        shell.kill()


def test_a_quick_look_finds_whom_a_start_leaves_behind_and_whom_nobody_has_seen(plant: Plant) -> None:
    instance = plant.shell("setsid sleep 60 & exec sleep 60")
    assert instance.leader is not None
    wait_until(lambda: len(plant.look()["a"][0].members) == 2, "both to be seen")
    leader = instance.leader.pid
    with subprocess.Popen(["sleep", "60"], env=claim(plant, "new", "d0"), start_new_session=True) as new:
        kill(leader)

        def left() -> set[int]:
            quick = plant.processes.observe(plant.known, quick=True)
            return {m.pid for i in quick.instances["a"] for m in i.members} - {leader}

        wait_until(lambda: new.pid in left() and not alive(leader), "the death")
        assert len(left()) == 2
        assert not plant.ended
        new.kill()


def test_a_stranger_that_takes_a_name_is_found_by_the_next_look_at_all(plant: Plant) -> None:
    variables = " ".join(f"{k}={v}" for k, v in claim(plant, "by-hand", "d0").items())
    script = f"read line; exec env {variables} sleep 60"
    with subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True) as stranger:
        assert plant.look() == {}
        assert stranger.stdin is not None
        stranger.stdin.write(b"now\n")
        stranger.stdin.flush()
        (instance,) = wait_until(lambda: plant.look().get("a", ()), "it")
        assert plant.processes.observe(plant.known, quick=True).instances["a"] == (instance,)
        stranger.kill()


def test_a_copy_of_a_state_directory_knows_nothing_of_the_originals(plant: Plant, tmp_path: Path) -> None:
    plant.start("sleep", "60")
    shutil.copytree(plant.state.root, tmp_path / "copy")
    copy = open_state_dir(tmp_path / "copy")
    assert state_id(copy) not in (None, state_id(plant.state))
    other = Processes(copy)
    observed = other.observe({})
    assert (observed.instances, observed.ended) == ({}, ())
    other.close()


@pytest.mark.parametrize("adopted", [False, True], ids=["own", "adopted"])
def test_a_death_wakes_the_loop_within_50_ms(plant: Plant, adopted: bool) -> None:
    names = [f"n{i}" for i in range(10)]
    if adopted:
        start_by_another(plant, "exec sleep 60", *names)
    else:
        for name in names:
            plant.start("sleep", "60", name=name)
    poll = select.poll()
    poll.register(plant.processes.fileno(), select.POLLIN)
    took = []
    for name in names:
        (instance,) = plant.look()[name]
        assert instance.leader is not None
        assert not poll.poll(0)
        at = kill(instance.leader.pid)
        assert poll.poll(2000)
        took.append(time.monotonic() - at)
        plant.wait_for_end(name)
    assert sorted(took)[-2] < 0.05
