"""A wall clock that a test can set, for the processes it starts and no other: the kernel has but one."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.programs import program


class SettableClock:
    """Processes with `environ` see it; it begins right."""

    def __init__(self, directory: Path) -> None:
        self._ahead = directory / "ahead"
        self.set(0)
        library = directory / "clock.so"
        source = Path(__file__).with_name("clock.c")
        subprocess.run([program("cc"), "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
        self.environ = {"LD_PRELOAD": str(library), "TEST_CLOCK": str(self._ahead)}

    def set(self, ahead_s: int) -> None:
        """Let it stand so many seconds ahead of the real one."""
        with self._ahead.open("r+b" if self._ahead.exists() else "wb") as file:
            file.write(ahead_s.to_bytes(8, "little", signed=True))
        self.ahead_s = ahead_s

    @property
    def now(self) -> float:
        """What it shows, epoch seconds."""
        return time.time() + self.ahead_s
