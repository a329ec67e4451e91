"""Starting, asking, killing: real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import LiveFile, read_json
from reconciler.model import Instance, StopPolicy
from reconciler.processes import StartError
from tests.reconciler.children import Plant, alive, kill, plant_in
from tests.waiting import wait_until

DEAF = "trap '' TERM; echo ready; while :; do sleep 0.01; done"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with plant_in(tmp_path) as plant:
        yield plant


def leader_pid(instance: Instance) -> int:
    assert instance.leader is not None
    return instance.leader.pid


def ask(plant: Plant, instance: Instance, number: str = "SIGTERM") -> None:
    plant.processes.stop(instance, StopPolicy(number, 5.0), "Removed", time.monotonic())


def test_a_start_is_seen_with_its_name_digest_and_command(plant: Plant) -> None:
    instance = plant.start("sleep", "60", name="press-1", digest="abc")
    assert (instance.name, instance.digest, instance.command) == ("press-1", "abc", ("sleep", "60"))
    assert instance.members == (instance.leader,)
    assert abs(instance.started_at - time.time()) < 5
    assert plant.holders == {}


@pytest.mark.parametrize("code", [0, 1, 75, 78])
def test_the_exit_code_of_a_child_is_exact(plant: Plant, code: int) -> None:
    plant.processes.start(plant.spec("sh", "-c", f"echo bye; exit {code}"), LiveFile(), base=plant.root)
    end = plant.wait_for_end()
    assert (end.exit_code, end.signal, end.observed_by, end.tail) == (code, None, "wait", "bye")


def test_the_signal_that_ended_a_child_is_exact(plant: Plant) -> None:
    kill(leader_pid(plant.start("sleep", "60")), signal.SIGSEGV)
    end = plant.wait_for_end()
    assert (end.exit_code, end.signal, end.observed_by) == (None, signal.SIGSEGV, "wait")


def test_an_end_is_told_once(plant: Plant) -> None:
    kill(leader_pid(plant.start("sleep", "60")))
    plant.wait_for_end()
    plant.look()
    plant.forget()
    plant.look()
    assert len(plant.ended) == 1


def test_a_stop_sends_the_policys_signal_and_is_told_with_the_end(plant: Plant) -> None:
    instance = plant.shell("trap 'exit 3' USR1; echo ready; while :; do sleep 0.01; done")
    wait_until(lambda: "ready" in plant.log(), "the trap")
    ask(plant, instance, "SIGUSR1")
    end = plant.wait_for_end()
    assert end.exit_code == 3
    assert end.stopped is not None
    assert end.stopped.reason == "Removed"


def test_a_child_that_ignores_term_lives_until_it_is_killed(plant: Plant) -> None:
    instance = plant.shell(DEAF)
    wait_until(lambda: "ready" in plant.log(), "the trap")
    ask(plant, instance)
    (seen,) = plant.look()["a"]
    assert seen.stopping is not None
    assert alive(leader_pid(seen))
    plant.processes.kill(seen)
    assert plant.wait_for_end().signal == signal.SIGKILL


def test_a_kill_reaches_a_grandchild_in_a_session_of_its_own(plant: Plant) -> None:
    instance = plant.shell("setsid sh -c 'echo $$; exec sleep 60' & wait")
    grandchild = int(wait_until(lambda: plant.log().strip(), "the grandchild"))
    assert grandchild in {m.pid for m in plant.look()["a"][0].members}
    plant.processes.kill(instance)
    plant.wait_for_end()
    assert not alive(grandchild)


def test_a_grandchild_without_our_environment_is_found_by_its_session(plant: Plant) -> None:
    plant.shell("env -i sleep 60 & echo $!; wait")
    grandchild = int(wait_until(lambda: plant.log().strip(), "the grandchild"))
    wait_until(lambda: b"DAQ" not in Path(f"/proc/{grandchild}/environ").read_bytes(), "its exec")
    (instance,) = plant.look()["a"]
    assert grandchild in {m.pid for m in instance.members}
    plant.processes.kill(instance)
    plant.wait_for_end()
    assert not alive(grandchild)


def test_children_of_a_dead_leader_keep_the_name_until_they_were_asked(plant: Plant) -> None:
    plant.shell("sleep 60 & echo ready; exit 7")
    (orphaned,) = wait_until(
        lambda: [i for i in plant.look().get("a", ()) if i.leader is None], "the leader to end"
    )
    with pytest.raises(StartError, match="still alive"):
        plant.processes.start(plant.spec("true"), LiveFile(), base=plant.root)
    ask(plant, orphaned)
    end = plant.wait_for_end()
    assert (end.exit_code, end.observed_by) == (7, "wait")


def test_a_stop_whose_leader_obeys_leaves_the_others_to_be_asked_anew(plant: Plant) -> None:
    instance = plant.shell("sleep 60 & echo ready; wait")
    wait_until(lambda: "ready" in plant.log(), "the grandchild")
    ask(plant, instance)
    (rest,) = wait_until(lambda: [i for i in plant.look()["a"] if i.leader is None], "the leader to end")
    assert rest.stopping is None
    ask(plant, rest)
    end = plant.wait_for_end()
    assert end.signal == signal.SIGTERM
    assert end.stopped is not None


def test_a_fork_bomb_of_two_generations_is_killed_whole(plant: Plant) -> None:
    instance = plant.shell("f() { sh -c 'sleep 60 & sleep 60 & wait' & }; f; f; f; echo ready; wait")
    wait_until(lambda: len(plant.look()["a"][0].members) >= 10, "all of them")
    plant.processes.kill(instance)
    plant.wait_for_end()
    assert "a" not in plant.look()


def test_a_recycled_pid_is_never_signalled(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    run = next(iter(plant.processes._following.runs.values()))
    assert run.leader is not None
    stranger = type(run.leader)(
        run.leader.boot_id, run.leader.pid_namespace, run.leader.pid, run.leader.start_ticks - 1
    )
    run.leader, run.members = stranger, (stranger,)
    with subprocess.Popen(["true"]) as dead:  # what held the one before it says that it is dead
        held = os.pidfd_open(dead.pid)
    assert run.fd is not None
    os.dup2(held, run.fd, inheritable=False)
    os.close(held)
    ask(plant, instance)
    assert alive(stranger.pid)


def test_live_values_are_replaced_without_touching_the_process(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    plant.processes.update("a", LiveFile(sinks=("plant",)))
    assert plant.look()["a"][0].leader == instance.leader
    applied = plant.processes.applied("a", "d1")
    assert applied is not None
    assert applied.live.sinks == ("plant",)


def test_the_specs_of_running_and_kept_digests_stay(plant: Plant) -> None:
    plant.start("sleep", "60")
    plant.processes.start(plant.spec("true", name="b", digest="old"), LiveFile(), base=plant.root)
    plant.wait_for_end("b")
    plant.processes.prune([("b", "old")])
    assert read_json(plant.state.spec("b", "old"))["digest"] == "old"
    plant.processes.prune([])
    assert not plant.state.spec("b", "old").exists()
    assert plant.state.spec("a", "d1").exists()


def test_nice_is_set_from_the_first_moment(plant: Plant) -> None:
    live = LiveFile(spec={"resources": {"nice": 5}})
    plant.processes.start(plant.spec("sh", "-c", "nice; exec sleep 60"), live, base=plant.root)
    wait_until(lambda: plant.log().strip() == "5", "the niceness")


def test_usage_covers_the_children_of_a_child(plant: Plant) -> None:
    plant.shell("sh -c 'while :; do :; done' & wait")

    def busy() -> bool:
        (instance,) = plant.look()["a"]
        plant.processes.sample()
        return len(instance.members) == 2 and plant.look()["a"][0].cpu_percent > 10

    wait_until(busy, "the load to show")
    assert plant.look()["a"][0].memory_bytes > 500_000
