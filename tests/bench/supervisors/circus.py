"""circus (PyPI), which looks after its programs every half second in place of every five."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.stamps import Stamps
from tests.bench.supervisors import FIRST_VALUE, Supervisor
from tests.waiting import wait_until

PROGRAMS = Path(sys.executable).parent


class Circus(Supervisor):
    """One file for all; an edit is followed by `circusctl reloadconfig`."""

    title = "circus reloadconfig"

    def __init__(self, root: Path, stamps: Stamps, names: list[str]) -> None:
        root.mkdir()
        self._root, self._stamps = root, stamps
        self._values = dict.fromkeys(names, FIRST_VALUE)

    def start(self) -> None:
        self._write()
        self._begin()
        wait_until(lambda: len(self._stamps.told()) >= len(self._values), "its programs", 60)

    def edit(self, name: str, value: int) -> None:
        self._values[name] = value
        self._write()
        self._ask("reloadconfig")

    def die_and_return(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        self._begin()

    @property
    def pid(self) -> int:
        return self._daemon.pid

    def close(self) -> None:
        self._ask("quit")
        self._daemon.wait(60)

    def _begin(self) -> None:
        for name in ("control", "events"):
            (self._root / name).unlink(missing_ok=True)
        command = [str(PROGRAMS / "circusd"), "--log-level", "error", "circus.ini"]
        quiet = subprocess.DEVNULL  # it logs a traceback whenever two of its own commands meet
        self._daemon = subprocess.Popen(command, cwd=self._root, stdout=quiet, stderr=quiet)
        wait_until((self._root / "control").exists, "its socket", 30)

    def _ask(self, request: str) -> None:
        control = ["--endpoint", f"ipc://{self._root}/control", "--timeout", "60"]
        command = [str(PROGRAMS / "circusctl"), *control, request]
        subprocess.run(command, cwd=self._root, check=True, stdout=subprocess.DEVNULL)

    def _write(self) -> None:
        text = f"""[circus]
check_delay = 0.5
endpoint = ipc://{self._root}/control
pubsub_endpoint = ipc://{self._root}/events
"""
        for name, value in self._values.items():
            program, *arguments = self._stamps.command(name, value)
            text += f"[watcher:{name}]\ncmd = {program}\nargs = {' '.join(arguments)}\n"
        (self._root / "circus.ini").write_text(text)
