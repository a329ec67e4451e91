"""Built-in children that a nursery forks are what spawned ones are, whatever becomes of the nursery."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import LiveFile, SpecFile, read_json
from collectors.nursery import wire
from reconciler.model import Instance
from reconciler.processes import nursery, proctable
from tests.processtable import nurseries, spares
from tests.reconciler.children import Plant, alive, kill, plant_in
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

SPEC = {
    "type": "modbus",
    "interval": "10s",
    "devices": [{"host": "127.0.0.1", "port": 1}],
    "tags": [{"name": "t", "address": "holding:0", "type": "uint16"}],
}


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with plant_in(tmp_path) as plant:
        yield plant
        plant.processes.end_nursery()


@pytest.fixture
def probes(tmp_path: Path) -> Iterator[Plant]:
    """A plant whose built-in children only say what they know of themselves."""
    python = tmp_path / "python"
    root = Path(__file__).parents[2]
    python.write_text(
        f"#!{sys.executable}\nimport runpy, sys\nsys.path.insert(0, {str(root)!r})\n"
        "runpy.run_module('tests.reconciler.probe', run_name='__main__')\n"
    )
    python.chmod(0o700)
    with plant_in(tmp_path, python=str(python)) as plant:
        yield plant
        plant.processes.end_nursery()


def warm(plant: Plant) -> None:
    def is_warm() -> bool:
        plant.processes.keep_warm()
        return plant.processes.warmth == "warm"

    wait_until(is_warm, "the nursery to be warm", 60)


def nursery_pid(plant: Plant) -> int:
    (pid,) = nurseries(plant.state.root)
    return pid


def begin(plant: Plant, name: str = "a", *, nice: int = 0, **env: Any) -> Instance:
    spec = SpecFile("Collector", name, "d1", {**SPEC, "env": env}, directory=str(plant.root))
    live = LiveFile(spec={"resources": {"nice": nice}} if nice else {})
    plant.processes.start(spec, live, base=plant.root)
    return wait_until(lambda: plant.look().get(name, ()), f"{name} to be seen")[0]


def pid_of(instance: Instance) -> int:
    assert instance.leader is not None
    return instance.leader.pid


def parent_of(pid: int) -> int:
    stat = proctable.stat(pid)
    assert stat is not None
    return stat.parent


def said(plant: Plant, name: str) -> dict[str, Any]:
    def line() -> str:
        return plant.log(name) if plant.log(name).endswith("\n") else ""

    found: dict[str, Any] = json.loads(wait_until(line, f"{name} to speak"))
    return found


def test_a_forked_child_is_found_by_the_marks_of_a_spawned_one(plant: Plant) -> None:
    warm(plant)
    forked = begin(plant, TZ="UTC")
    pid = pid_of(forked)
    assert parent_of(pid) == nursery_pid(plant)
    path = str(plant.state.spec("a", "d1"))
    assert (forked.name, forked.digest) == ("a", "d1")
    assert forked.command == proctable.command(pid) == (sys.executable, "-m", "collectors", path)
    plant.forget()
    assert plant.look()["a"][0].leader == forked.leader
    assert plant.look()["a"][0].instance == forked.instance


def test_nothing_of_the_nursery_leaks_into_its_children(probes: Plant) -> None:
    begin(probes, "spawned", nice=3, TZ="Asia/Tokyo", WORD="x")
    warm(probes)
    forked = [pid_of(begin(probes, name, nice=3, TZ="Asia/Tokyo", WORD="x")) for name in ("one", "two")]
    assert {parent_of(pid) for pid in forked} == {nursery_pid(probes)}

    def comparable(name: str) -> tuple[float, Any]:
        text = json.dumps(said(probes, name)).replace(f"/{name}", "/NAME").replace(f"={name}", "=NAME")
        facts = json.loads(text.replace(f'"{name}"', '"NAME"'))
        for instance in (facts["environ"].pop("DAQ_INSTANCE"),):
            facts["environ in /proc"].remove(f"DAQ_INSTANCE={instance}")
        return facts.pop("random"), facts

    spawned, one, two = (comparable(name) for name in ("spawned", "one", "two"))
    assert one[1] == two[1] == spawned[1]
    assert one[0] != two[0]


@pytest.mark.skipif(not Path("/proc/self/ksm_stat").exists(), reason="a kernel without KSM, or before 6.8")
def test_equal_pages_of_forked_children_may_be_one_where_the_host_merges(plant: Plant) -> None:
    warm(plant)
    assert "ksm_merge_any: yes" in Path(f"/proc/{pid_of(begin(plant))}/ksm_stat").read_text()


def test_exits_are_exact_though_no_reconciler_saw_them(plant: Plant) -> None:
    warm(plant)
    pids = {name: pid_of(begin(plant, name)) for name in ("asked", "killed")}
    wait_until(lambda: all(plant.state.report(name).exists() for name in pids), "both to work")
    plant.processes.close()
    kill(pids["asked"], signal.SIGTERM)
    kill(pids["killed"], signal.SIGKILL)
    wait_until(lambda: not any(map(alive, pids.values())), "both to end")
    wait_until(lambda: len(list(plant.state.exit("x").parent.glob("[!.]*"))) == 2, "their exits")
    plant.forget()
    ends = {end.name: (end.exit_code, end.signal, end.observed_by) for end in wait_until_told(plant, 2)}
    assert ends == {"asked": (0, None, "parent"), "killed": (None, signal.SIGKILL, "parent")}
    plant.processes.prune(())
    assert not list(plant.state.exit("x").parent.iterdir())


def wait_until_told(plant: Plant, count: int) -> list[Any]:
    def told() -> bool:
        plant.look()
        return len(plant.ended) >= count

    wait_until(told, f"{count} ends")
    return plant.ended


def test_a_dead_nursery_costs_no_collector_and_the_next_is_begun(plant: Plant) -> None:
    warm(plant)
    before = begin(plant)
    old = nursery_pid(plant)
    kill(old)
    wait_until(lambda: not alive(old), "its death")
    warm(plant)
    assert nursery_pid(plant) != old
    assert plant.look()["a"][0].leader == before.leader
    assert parent_of(pid_of(begin(plant, "b"))) == nursery_pid(plant)
    kill(pid_of(before))
    assert plant.wait_for_end().signal in (signal.SIGKILL, None)


def test_a_nursery_that_dies_unseen_leaves_the_start_to_spawning(plant: Plant) -> None:
    warm(plant)
    kill(nursery_pid(plant))
    assert parent_of(pid_of(begin(plant))) == os.getpid()


def test_a_nursery_that_does_not_answer_is_ended_and_the_child_born_once(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "ANSWER_S", 0.3)
    warm(plant)
    frozen = nursery_pid(plant)
    kill(frozen, signal.SIGSTOP)
    instance = begin(plant)
    assert not alive(frozen)
    assert parent_of(pid_of(instance)) == os.getpid()
    assert instance.members == (instance.leader,)


def test_a_request_left_behind_by_a_dead_reconciler_is_found_as_its_child(plant: Plant) -> None:
    warm(plant)
    frozen = nursery_pid(plant)
    kill(frozen, signal.SIGSTOP)
    if (pid := os.fork()) == 0:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it dies while it waits for the answer
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            begin(plant)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGALRM
    plant.forget()
    assert plant.look() == {}
    assert plant.holders["a"].pid is None  # on its way: nothing is started against it
    kill(frozen, signal.SIGCONT)
    (instance,) = wait_until(lambda: plant.look().get("a", ()), "the child")
    assert parent_of(pid_of(instance)) == frozen


def test_a_nursery_that_is_about_to_fork_is_never_taken_for_the_child(plant: Plant) -> None:
    warm(plant)
    plant.processes.end_nursery()
    lock = plant.state.lock("a")
    begin(plant)
    kill(pid_of(plant.look()["a"][0]))
    plant.wait_for_end()
    intent = plant.state.root / "intents" / "a.json"
    intent.write_text(json.dumps({**read_json(intent), "instance": "next", "leader": None}))
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        arguments = [
            sys.executable,
            "-c",
            "import signal; signal.pause()",
            "-m",
            wire.NURSERY,
            str(plant.state.root),
            "",
        ]
        keep = [(os.POSIX_SPAWN_DUP2, held.fileno(), held.fileno() + 100)]
        pid = os.posix_spawn(sys.executable, arguments, os.environ, file_actions=keep)
    plant.forget()
    assert plant.look() == {}
    assert plant.holders["a"].pid == pid
    kill(pid)
    os.waitpid(pid, 0)


def spare_pid(plant: Plant) -> int:
    """Of the one that waits, known as such, for it takes a moment."""
    return wait_until(lambda: spares(plant.state.root), "a spare")[0]


def test_a_birth_takes_the_child_that_waited_and_another_waits_then(plant: Plant) -> None:
    warm(plant)
    for name in ("a", "b"):
        waiting = spare_pid(plant)
        assert pid_of(begin(plant, name)) == waiting
        assert parent_of(waiting) == nursery_pid(plant)
    assert spare_pid(plant) not in {pid_of(i) for (i,) in plant.look().values()}


def test_one_that_waits_is_nobodys_and_nothing_of_ours(plant: Plant) -> None:
    warm(plant)
    spare = spare_pid(plant)
    assert plant.look() == {}
    assert not proctable.has_variable(spare, "DAQ_STATE_DIR", str(plant.state.root))
    assert os.getsid(spare) == spare
    held = [str(fd.readlink()) for fd in Path(f"/proc/{spare}/fd").iterdir()]
    assert len(held) == 4, held  # the standard ones and the end at which it waits


def test_a_birth_is_given_to_another_where_the_one_that_waited_has_died(plant: Plant) -> None:
    warm(plant)
    nursery, dead = nursery_pid(plant), spare_pid(plant)
    kill(dead)
    wait_until(lambda: not alive(dead), "its death")
    born = pid_of(begin(plant))
    assert parent_of(born) == nursery
    assert born != dead
    assert proctable.stat(dead) is None, "it was reaped"
    assert spare_pid(plant) != dead
    assert not plant.ended


def test_one_that_hears_nothing_costs_a_nursery_and_no_birth(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "ANSWER_S", 0.3)
    warm(plant)
    nurse, frozen = nursery_pid(plant), spare_pid(plant)
    kill(frozen, signal.SIGSTOP)
    born = begin(plant)
    assert parent_of(pid_of(born)) == os.getpid()
    wait_until(lambda: not alive(frozen) and not alive(nurse), "both to be ended")
    assert born.members == (born.leader,)


def test_one_that_waits_ends_with_its_nursery(plant: Plant) -> None:
    warm(plant)
    spare = spare_pid(plant)
    kill(nursery_pid(plant))
    wait_until(lambda: not alive(spare), "its end")


def test_a_birth_that_a_dead_nursery_passed_on_is_seen_as_held_and_then_as_its_child(plant: Plant) -> None:
    """The reconciler dies after the nursery, so nobody ends the child that has not read the birth yet."""
    warm(plant)
    nurse, spare = nursery_pid(plant), spare_pid(plant)
    kill(spare, signal.SIGSTOP)
    if (pid := os.fork()) == 0:
        try:
            begin(plant)
        finally:
            os._exit(1)
    wait_until(lambda: _holds(nurse, plant.state.lock("a")) and not _runs(nurse), "it to be passed on")
    kill(pid)
    os.waitpid(pid, 0)
    kill(nurse)
    wait_until(lambda: not alive(nurse), "its death")
    plant.forget()
    assert plant.look() == {}
    assert plant.holders["a"].pid is None
    kill(spare, signal.SIGCONT)
    (instance,) = wait_until(lambda: plant.look().get("a", ()), "the child")
    assert pid_of(instance) == spare


def _holds(pid: int, lock: Path) -> bool:
    return any(fd.is_symlink() and fd.readlink() == lock for fd in Path(f"/proc/{pid}/fd").iterdir())


def _runs(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "R"


@pytest.mark.parametrize("env", [{"LONG": "x" * 20_000}, {"HUGE": "x" * 127_000}, {"PYTHONUTF8": "1"}])
def test_what_a_fork_cannot_give_is_spawned(plant: Plant, env: dict[str, Any]) -> None:
    warm(plant)
    assert parent_of(pid_of(begin(plant, **env))) == os.getpid()
    assert parent_of(pid_of(begin(plant, "b"))) == nursery_pid(plant)


def test_code_that_was_replaced_is_not_forked(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    warm(plant)
    old = begin(plant)
    old_nursery = nursery_pid(plant)
    plant.processes.close()
    key = wire.key
    monkeypatch.setattr(wire, "key", lambda: "newer")
    plant.forget()
    assert parent_of(pid_of(old)) == old_nursery
    plant.look()

    def is_another() -> bool:
        plant.processes.keep_warm()  # connects, is greeted, begins
        return len(nurseries(plant.state.root)) == 2

    wait_until(is_another, "a new one")
    assert alive(old_nursery)
    assert parent_of(pid_of(begin(plant, "b"))) == os.getpid()
    monkeypatch.setattr(wire, "key", key)
    warm(plant)
    assert parent_of(pid_of(begin(plant, "c"))) in set(nurseries(plant.state.root)) - {old_nursery}
    assert parent_of(pid_of(old)) == old_nursery


def test_a_zombie_is_kept_while_others_live_in_its_session(probes: Plant) -> None:
    warm(probes)
    instance = begin(probes, HELPER="1")
    first = proctable.stat(instance.members[0].pid)
    assert first is not None
    pid = first.session
    wait_until(lambda: (s := proctable.stat(pid)) is not None and s.zombie, "the leader to end")
    (left,) = wait_until(lambda: [i for i in probes.look()["a"] if not i.leader], "the helper alone")
    assert proctable.stat(pid) is not None
    kill(left.members[0].pid)
    end = probes.wait_for_end()
    assert (end.exit_code, end.instance) == (7, instance.instance)
    wait_until(lambda: proctable.stat(pid) is None, "the leader to be reaped")


def test_a_path_longer_than_a_socket_address_is_no_obstacle(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with plant_in(deep) as plant:
        warm(plant)
        assert parent_of(pid_of(begin(plant))) == nursery_pid(plant)
        plant.processes.end_nursery()


def test_it_ends_with_its_state_directory(plant: Plant) -> None:
    warm(plant)
    pid = nursery_pid(plant)
    away = plant.state.root.with_name("away")
    plant.state.root.rename(away)
    wait_until(lambda: not alive(pid), "its end", 10)
    away.rename(plant.state.root)


def test_it_ends_by_itself_when_nobody_needs_it(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(
        f"#!{sys.executable}\nimport sys\nfrom collectors.nursery import parent, __main__\n"
        "parent.IDLE_S, sys.argv = 0.1, ['', *sys.argv[3:]]\nsys.exit(__main__.main())\n"
    )
    python.chmod(0o700)
    with plant_in(tmp_path, python=str(python)) as plant:
        warm(plant)
        pid = nursery_pid(plant)
        child = begin(plant)
        plant.processes.close()
        assert alive(pid)
        kill(pid_of(child))
        wait_until(lambda: not alive(pid), "its end", 10)
        plant.forget()


def test_one_that_cannot_warm_up_is_given_up_for_a_while(tmp_path: Path) -> None:
    with plant_in(tmp_path, python=shutil.which("false") or "") as broken:
        broken.processes.keep_warm()

        def given_up() -> bool:
            broken.processes.keep_warm()
            return broken.processes.warmth == "cold"

        wait_until(given_up, "it to be given up")
        broken.processes.keep_warm()
        assert broken.processes.warmth == "cold"


def test_code_is_named_by_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_PACKAGE", tmp_path)
    file = tmp_path / "code.py"
    file.write_text("a = 1")
    before, status = wire.key(), file.stat()
    file.touch()
    assert wire.key() == before, "only its time is another"
    file.write_text("a = 2")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert wire.key() != before, "its size and time are the same"
