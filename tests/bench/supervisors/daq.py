"""Ours."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.bench import mixed
from tests.bench.stamps import Stamps
from tests.bench.supervisors import FIRST_VALUE, Supervisor
from tests.e2e.plant import Plant


class Daq(Supervisor):
    """A manifest for each program; an edit is a saved file."""

    title = "daq"

    def __init__(self, root: Path, stamps: Stamps, names: list[str]) -> None:
        root.mkdir()
        self.plant = Plant(root)
        self._stamps = stamps
        self._names = names

    def start(self) -> None:
        for name in self._names:
            self.edit(name, FIRST_VALUE)
        self.plant.start_loop("--listen", "none")
        mixed.wait_converged(self.plant, len(self._names))

    def edit(self, name: str, value: int) -> None:
        new = self.plant.root / "new"
        new.write_text(exec_manifest(name, self._stamps.command(name, value)))
        new.replace(self.plant.desired / f"{name}.yaml")

    def die_and_return(self) -> None:
        self.plant.end_loop(signal.SIGKILL)
        self.plant.start_loop("--listen", "none")

    @property
    def pid(self) -> int:
        assert self.plant.loop is not None
        return self.plant.loop.pid

    def close(self) -> None:
        self.plant.close()


def exec_manifest(name: str, command: list[str], state: str = "running") -> str:
    """A program that is started again at once."""
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: exec
  state: {state}
  command: {json.dumps(command)}
  restart: {{delay: 0s}}
"""
