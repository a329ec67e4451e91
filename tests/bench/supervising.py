"""The same programs under daq and under supervisord: after an edit, after a kill, after the supervisor's own end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from abc import abstractmethod
from collections import Counter
from pathlib import Path
from statistics import median
from typing import Protocol

from tests.bench.rows import Row
from tests.e2e.plant import Plant, sleeper
from tests.waiting import wait_until

NAMES = [f"p{n}" for n in range(20)]
TIMES = 10
SETTLE_S = 3.0
"""After a supervisor's restart: long enough for either to start what it believes to be missing."""


class Supervisor(Protocol):
    """What both can do."""

    @abstractmethod
    def edit(self, name: str, seconds: int) -> None:
        """Let the program `sleep` so many seconds, as a user would make it so."""

    @abstractmethod
    def pids(self, name: str | None = None) -> list[int]:
        """Live processes, found by their environment."""

    @abstractmethod
    def die_and_return(self) -> None:
        """SIGKILL, then another one on the same files."""


class Daq:
    """Ours."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._plant = Plant(root)
        for name in NAMES:
            self.edit(name, 100000)
        self._plant.start_loop()
        self._plant.wait_ready(*NAMES)

    def edit(self, name: str, seconds: int) -> None:
        new = self._plant.root / "new"
        new.write_text(sleeper(name, "  restart: {delay: 0s}\n").replace("100000", str(seconds)))
        new.replace(self._plant.desired / f"{name}.yaml")

    def pids(self, name: str | None = None) -> list[int]:
        return self._plant.pids(name)

    def die_and_return(self) -> None:
        self._plant.end_loop(signal.SIGKILL)
        self._plant.start_loop()

    def close(self) -> None:
        self._plant.close()


class Supervisord:
    """The baseline, with restarts as eager as it can."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._root = root
        self._seconds = dict.fromkeys(NAMES, 100000)
        self._write()
        self._start()
        wait_until(lambda: len(self.pids()) == len(NAMES), "supervisord's programs")

    def edit(self, name: str, seconds: int) -> None:
        self._seconds[name] = seconds
        self._write()
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", "conf", "update"]
        subprocess.run(command, cwd=self._root, check=True, stdout=subprocess.DEVNULL)

    def pids(self, name: str | None = None) -> list[int]:
        marks = {f"BENCHED={self._root}".encode()}
        marks |= {f"SUPERVISOR_PROCESS_NAME={name}".encode()} if name else set()
        return [pid for pid, environ in _environments() if marks <= environ]

    def die_and_return(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        (self._root / "sock").unlink()
        self._start()
        wait_until((self._root / "sock").exists, "its socket")

    def close(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)

    def _start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-n", "-c", "conf"]
        self._daemon = subprocess.Popen(command, cwd=self._root, stdout=subprocess.DEVNULL)

    def _write(self) -> None:
        text = f"""[supervisord]
environment=BENCHED="{self._root}"
[unix_http_server]
file={self._root}/sock
[supervisorctl]
serverurl=unix://{self._root}/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
        for name, seconds in self._seconds.items():
            text += f"[program:{name}]\ncommand=sleep {seconds}\nautorestart=true\nstartsecs=0\n"
        (self._root / "conf").write_text(text)


def _environments() -> list[tuple[int, set[bytes]]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((int(entry.name), set((entry / "environ").read_bytes().split(b"\0"))))
            except OSError:
                continue
    return found


def run() -> list[Row]:
    """Twenty programs that sleep."""
    with tempfile.TemporaryDirectory() as directory:
        ours, theirs = Daq(Path(directory, "daq")), Supervisord(Path(directory, "supervisord"))
        try:
            edits = [(_after_edit(ours, n), _after_edit(theirs, n)) for n in range(TIMES)]
            kills = [(_after_kill(ours, name), _after_kill(theirs, name)) for name in NAMES[:TIMES]]
            (our_s, our_fate), (their_s, their_fate) = _after_death(ours), _after_death(theirs)
        finally:
            ours.close()
            theirs.close()
    fates = f"of {len(NAMES)}: {our_fate} (supervisord: {their_fate})"
    return [
        Row("an edit to the new process", "supervisord update", *_medians(edits)),
        Row("kill -9 to the restarted process", "supervisord", *_medians(kills)),
        Row(f"supervisor killed, {fates}", "supervisord", our_s, their_s),
    ]


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return median(a for a, _ in pairs), median(b for _, b in pairs)


def _until_new(supervisor: Supervisor, name: str, before: list[int], begin: float) -> float:
    wait_until(lambda: set(supervisor.pids(name)) - set(before), "the new process", 30)
    return time.perf_counter() - begin


def _after_edit(supervisor: Supervisor, number: int) -> float:
    before, begin = supervisor.pids("p7"), time.perf_counter()
    supervisor.edit("p7", 100001 + number)
    return _until_new(supervisor, "p7", before, begin)


def _after_kill(supervisor: Supervisor, name: str) -> float:
    """A name is killed once only: neither is to show its back-off."""
    before, begin = supervisor.pids(name), time.perf_counter()
    os.kill(before[0], signal.SIGKILL)
    return _until_new(supervisor, name, before, begin)


def _after_death(supervisor: Supervisor) -> tuple[float, str]:
    """Seconds until another one is at work, and what became of the programs."""
    before, begin = set(supervisor.pids()), time.perf_counter()
    supervisor.die_and_return()
    took = time.perf_counter() - begin
    end = time.monotonic() + SETTLE_S
    wait_until(lambda: time.monotonic() > end, "what it starts", SETTLE_S + 1)
    after = set(supervisor.pids())
    fate = Counter(adopted=len(before & after) if len(after) == len(NAMES) else 0)
    fate.update(doubled=max(0, len(after) - len(NAMES)), lost=max(0, len(NAMES) - len(after)))
    return took, ", ".join(f"{count} {what}" for what, count in fate.items())
