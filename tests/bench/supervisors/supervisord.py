"""supervisord (PyPI ``supervisor``), with restarts as eager as it can."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.bench.stamps import Stamps
from tests.bench.supervisors import FIRST_VALUE, Supervisor
from tests.waiting import wait_until


class Supervisord(Supervisor):
    """One file for all; an edit is followed by `supervisorctl update`."""

    title = "supervisord update"

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
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisorctl", "-c", "conf", "update"]
        subprocess.run(command, cwd=self._root, check=True, stdout=subprocess.DEVNULL)

    def die_and_return(self) -> None:
        self._daemon.kill()
        self._daemon.wait()
        (self._root / "sock").unlink()
        self._begin()

    @property
    def pid(self) -> int:
        return self._daemon.pid

    def close(self) -> None:
        self._daemon.terminate()
        self._daemon.wait(60)

    def _begin(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-n", "-c", "conf"]
        self._daemon = subprocess.Popen(command, cwd=self._root, stdout=subprocess.DEVNULL)
        wait_until((self._root / "sock").exists, "its socket", 30)

    def _write(self) -> None:
        text = f"""[supervisord]
minfds=4096
[unix_http_server]
file={self._root}/sock
[supervisorctl]
serverurl=unix://{self._root}/sock
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
        for name, value in self._values.items():
            command = " ".join(self._stamps.command(name, value))
            text += f"[program:{name}]\ncommand={command}\nautorestart=true\nstartsecs=0\n"
        (self._root / "conf").write_text(text)
