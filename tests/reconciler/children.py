"""Real short processes in a state directory of their own, for tests of `reconciler.processes`."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from collectors.contract import LiveFile, SpecFile
from reconciler.model import Holder, Instance, Termination
from reconciler.processes import Processes, open_state_dir
from tests.waiting import wait_until


class Plant:
    """A state directory under test; everything that lives in it is killed at the end."""

    def __init__(
        self, root: Path, environ: Mapping[str, str] | None = None, python: str = sys.executable
    ) -> None:
        self.root = root
        self.state = open_state_dir(root / "state")
        self.environ = environ if environ is not None else os.environ
        self.python = python
        self.processes = Processes(self.state, python=python, environ=self.environ)
        self.known: dict[str, str] = {}
        self.holders: Mapping[str, Holder] = {}
        self.ended: list[Termination] = []

    def spec(self, *command: str, name: str = "a", digest: str = "d1", **more: Any) -> SpecFile:
        """An exec collector."""
        spec = {"type": "exec", "command": list(command), **more}
        return SpecFile("Collector", name, digest, spec, directory=str(self.root))

    def start(self, *command: str, name: str = "a", **more: Any) -> Instance:
        """Start it and return it as the next look shows it, running its own program."""
        self.processes.start(self.spec(*command, name=name, **more), LiveFile(), base=self.root)
        return wait_until(lambda: self.look().get(name, ()), f"{name} to be seen")[0]

    def shell(self, script: str, name: str = "a", **more: Any) -> Instance:
        """Start a shell script."""
        return self.start("sh", "-c", script, name=name, **more)

    def look(self) -> Mapping[str, tuple[Instance, ...]]:
        """One look; ends and holders are kept."""
        observed = self.processes.observe(self.known)
        assert observed.complete
        self.holders = observed.holders
        self.ended += observed.ended
        self.known |= {t.name: t.instance for t in observed.ended}
        return observed.instances

    def wait_for_end(self, name: str = "a") -> Termination:
        """The next end of that name."""
        before = len([t for t in self.ended if t.name == name])

        def ended() -> list[Termination]:
            self.look()
            return [t for t in self.ended if t.name == name][before:]

        return wait_until(ended, f"{name} to end")[0]

    def forget(self) -> None:
        """Another reconciler takes over: nothing but the disk and the process table is left."""
        self.processes.close()
        self.processes = Processes(self.state, python=self.python, environ=self.environ)

    def log(self, name: str = "a") -> str:
        """What the children of that name wrote so far."""
        path = self.state.log(name)
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """Kill all that is left and reap it."""

        def gone() -> bool:
            left = [i for instances in self.look().values() for i in instances]
            for instance in left:
                self.processes.kill(instance)
            return not left

        wait_until(gone, "everything to end")
        self.processes.close()


@contextmanager
def plant_in(
    root: Path, environ: Mapping[str, str] | None = None, python: str = sys.executable
) -> Iterator[Plant]:
    """A plant that is cleared at the end."""
    plant = Plant(root, environ, python)
    try:
        yield plant
    finally:
        plant.close()


def alive(pid: int) -> bool:
    """Whether that number is a live process (a zombie is not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> float:
    """Signal a process the test has started; returns the monotonic time just before."""
    at = time.monotonic()
    os.kill(pid, number)
    return at
