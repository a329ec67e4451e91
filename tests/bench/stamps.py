"""A program that tells when it began: the same one under every supervisor, so that nobody has to search /proc."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.programs import program

LOOK_S = 0.002


class Stamp(NamedTuple):
    """One start: the value in its arguments, and the ``perf_counter`` at its first instruction of ``main``."""

    name: str
    value: int
    pid: int
    at: float


class Stamps:
    """The program, compiled into a directory, and what its runs have told."""

    def __init__(self, directory: Path) -> None:
        self.program, self._file = directory / "stamp", directory / "stamps"
        source = Path(__file__).with_name("stamp.c")
        subprocess.run([program("cc"), "-O1", "-o", self.program, source], check=True)
        self._file.touch()

    def command(self, name: str, value: int) -> list[str]:
        """Its arguments; a name has no space."""
        return [str(self.program), str(self._file), name, str(value)]

    def told(self) -> list[Stamp]:
        """Every start so far."""
        whole = self._file.read_text().rpartition("\n")[0]
        parts = (line.split() for line in whole.splitlines())
        return [Stamp(name, int(value), int(pid), int(ns) / 1e9) for name, value, pid, ns in parts]

    def wait(self, wanted: Callable[[Stamp], bool], what: str, within_s: float = 60.0) -> Stamp:
        """The first start that is `wanted`. Raises TimeoutError."""
        end = time.perf_counter() + within_s
        while time.perf_counter() < end:
            if found := next(filter(wanted, reversed(self.told())), None):
                return found
            time.sleep(LOOK_S)
        raise TimeoutError(f"waited {within_s:g} s for {what}")

    def alive(self) -> list[Stamp]:
        """Those that live still, found by their arguments."""
        return [stamp for stamp in self.told() if self._lives(stamp)]

    def _lives(self, stamp: Stamp) -> bool:
        try:
            words = Path(f"/proc/{stamp.pid}/cmdline").read_bytes().split(b"\0")[:-1]
        except OSError:
            return False
        return words == [word.encode() for word in self.command(stamp.name, stamp.value)]
