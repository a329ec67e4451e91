"""runit (Debian), a small supervisor in C for each program: not a rival, but what can be reached."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.bench.stamps import Stamps
from tests.bench.supervisors import FIRST_VALUE, Supervisor
from tests.programs import program
from tests.waiting import wait_until


class Runit(Supervisor):
    """A directory for each program; an edit is followed by `sv restart`."""

    title = "runit sv restart"

    def __init__(self, root: Path, stamps: Stamps, names: list[str]) -> None:
        root.mkdir()
        self._root, self._stamps, self._names = root, stamps, names

    def start(self) -> None:
        for name in self._names:
            (self._root / name).mkdir()
            self._write(name, FIRST_VALUE)
        self._begin()
        wait_until(lambda: len(self._stamps.told()) >= len(self._names), "its programs", 60)

    def edit(self, name: str, value: int) -> None:
        self._write(name, value)
        self._ask("restart", name)

    def die_and_return(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        self._begin()

    @property
    def pid(self) -> int:
        return self._daemon.pid

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(60)
        self._ask("exit", *self._names)
        wait_until(lambda: not self._stamps.alive(), "its programs to end", 60)
        wait_until(lambda: not any(map(self._is_watched, self._names)), "who watches them to end", 60)

    def _is_watched(self, name: str) -> bool:
        """Whether its runsv lives: it reads from this FIFO."""
        try:
            os.close(os.open(self._root / name / "supervise" / "ok", os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True

    def _begin(self) -> None:
        command = [program("runsvdir"), str(self._root)]
        self._daemon = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _ask(self, request: str, *names: str) -> None:
        command = [program("sv"), request, *(str(self._root / name) for name in names)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def _write(self, name: str, value: int) -> None:
        new = self._root / f".{name}"
        new.write_text(f"#!/bin/sh\nexec {' '.join(self._stamps.command(name, value))}\n")
        new.chmod(0o755)
        new.replace(self._root / name / "run")
