"""A disk that is full or read-only: nothing is lost, nothing stops, it says so, and it mends itself after."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import EXIT_STOPPED, StateDir
from collectors.outbox import Outbox
from tests.collectors.sending import report, samples, settled, sink, start_sender, write_spec
from tests.e2e.plant import Plant, collector, sleeper
from tests.e2e.test_state_directory import running
from tests.programs import needs_root
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

SOON = "  restart: {delay: 0s, maxDelay: 1s}\n"
NAMES = ("killed", "edited", "calm")

Trouble = Callable[[Path], AbstractContextManager[None]]


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


@contextmanager
def full(state: Path) -> Iterator[None]:
    """Not a byte is free any more."""
    filler = state / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def read_only(state: Path) -> Iterator[None]:
    """Whoever comes by the path finds a read-only mount of it; what children have open stays open."""
    mount("--bind", str(state), str(state))
    try:
        mount("-o", "remount,bind,ro", str(state))
        yield
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    """Its state lies on a disk of 8 MiB."""
    needs_root()
    plant = Plant(tmp_path)
    plant.state.mkdir()
    mount("-t", "tmpfs", "-o", "size=8m", "tmpfs", str(plant.state))
    try:
        yield plant
        plant.close()
        assert not plant.pids()
    finally:
        subprocess.run(["umount", "--lazy", plant.state], check=True)


def served(plant: Plant, name: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{plant.url}/api/processes/{name}", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.mark.parametrize(("trouble", "why"), [(full, "No space left"), (read_only, "Read-only file system")])
def test_without_a_disk_to_write_to_nothing_is_lost_and_all_comes_back(
    plant: Plant, trouble: Trouble, why: str
) -> None:
    for name in NAMES:
        plant.write(f"{name}.yaml", sleeper(name, SOON))
    plant.write("press.yaml", collector("press", plant.device()))
    loop = plant.start_loop()
    plant.wait_ready(*NAMES, "press", "local")
    before = running(plant)
    with trouble(plant.state):
        os.kill(before["killed"][0], signal.SIGKILL)
        plant.write("edited.yaml", sleeper("edited", SOON).replace("100000", "100001"))
        plant.write("new.yaml", sleeper("new", SOON))
        wait_until(lambda: why in (served(plant, "killed")["last_error"] or ""), "the reason to be told")
        assert "killed" not in running(plant)
        wait_until(lambda: why in plant.said(), "the reason in the log")
        assert {n: running(plant)[n] for n in ("calm", "press")} == {n: before[n] for n in ("calm", "press")}
        assert loop.poll() is None
        assert "cannot finish this pass" not in plant.said()
    plant.wait_ready(*NAMES, "new", "press")
    after = running(plant)
    assert {n: after[n] for n in ("calm", "press")} == {n: before[n] for n in ("calm", "press")}
    assert {n: len(p) for n, p in after.items()} == dict.fromkeys((*NAMES, "new", "press", "local"), 1)
    assert after["local"] == before["local"]
    assert served(plant, "killed")["restart_count"] >= 1
    assert plant.daq("apply", "--timeout", "20s").returncode == 0


@pytest.mark.parametrize(
    ("trouble", "why"), [(full, "full"), (read_only, "unable to open|readonly|Read-only")]
)
def test_a_sender_that_starts_without_a_disk_to_write_to_waits_in_place_until_there_is_one(
    plant: Plant, tmp_path: Path, trouble: Trouble, why: str
) -> None:
    state = StateDir(plant.state)
    spec = sink("local", type="sqlite")
    now = time.time_ns()
    with Outbox(state, "c") as outbox:
        outbox.append(
            b"\n".join(b"m,collector=c,device=d a=%di %d" % (n, now + n) for n in range(50)), 50, ("local",)
        )
    log = tmp_path / "log"
    write_spec(spec, state)
    with trouble(plant.state):
        sender = start_sender(spec, state, log)
        wait_until(
            lambda: re.search(f"cannot note what is sent: .*({why})", log.read_text()), "it to say so", 20
        )
        assert sender.poll() is None
    wait_until(lambda: settled(state, "c", "local"), "delivery", 20)
    assert sender.poll() is None
    wait_until(lambda: (made := report(state, "local")) and made.cycled and not made.held, "the report", 20)
    sender.terminate()
    assert sender.wait(20) == EXIT_STOPPED
    assert len(samples(state.database)) == 50


def test_a_loop_cannot_begin_on_a_read_only_disk_and_what_runs_goes_on(plant: Plant) -> None:
    plant.write("calm.yaml", sleeper("calm"))
    plant.start_loop()
    plant.wait_ready("calm")
    before = running(plant)
    plant.end_loop(signal.SIGKILL)
    with read_only(plant.state):
        refused = plant.daq("run", "--listen", "none")
        assert (refused.returncode, "Read-only file system" in refused.stderr) == (2, True)
        assert refused.stderr.startswith("cannot use state directory")
        assert plant.daq("status").returncode in (0, 1)
    plant.start_loop()
    plant.wait_ready("calm")
    assert running(plant) == before
