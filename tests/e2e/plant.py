"""A whole plant in a temporary directory: the real `daq` binary, simulated devices, manifests, state."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.waiting import wait_until

DAQ = Path(sys.executable).with_name("daq")
START_S = 40.0
"""A busy machine may take long to import a program."""
SPAWNING = f"""#!{sys.executable}
from reconciler.processes.nursery import Nursery
Nursery.tend = lambda self: None
from reconciler.cli import main
main()
"""
"""`daq` whose loop spawns, as it does while it has no warm nursery."""


class Plant:
    """One directory with `desired/` and `.daq/`; everything it starts ends with :meth:`close`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.program = DAQ
        self.desired = root / "desired"
        self.state = root / ".daq"
        self.desired.mkdir()
        self.loop: subprocess.Popen[bytes] | None = None
        self.devices: list[subprocess.Popen[bytes]] = []
        self.output = root / "loop.log"
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(("DAQ_", "PYTHON"))}

    def spawn_all(self) -> None:
        """Have no nursery."""
        self.program = self.root / "daq-spawning"
        self.program.write_text(SPAWNING)
        self.program.chmod(0o755)

    def daq(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.root,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints with ``-o json``."""
        return json.loads(self.daq(*arguments, "-o", "json").stdout)

    def start_loop(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start `daq run` and wait for its first pass."""
        with self.output.open("ab") as log:
            start = log.tell()
            self.loop = subprocess.Popen(
                [self.program, "run", "--listen", "127.0.0.1:0", *arguments],
                cwd=self.root,
                env=self.environ,
                stdout=log,
                stderr=log,
            )
        loop = self.loop
        first = "the first pass"
        wait_until(lambda: loop.poll() is not None or "first pass" in self.said(start), first, START_S)
        assert loop.poll() is None, self.said(start)
        return loop

    def said(self, start: int = 0) -> str:
        """What loops of this plant have printed."""
        return self.output.read_bytes()[start:].decode()

    @property
    def url(self) -> str:
        """Address of the newest loop's endpoint."""
        found: list[str] = re.findall(r"http://[0-9.:]+", self.said())
        return found[-1]

    def end_loop(self, sig: signal.Signals = signal.SIGTERM) -> int:
        """Signal the loop and wait for its end."""
        assert self.loop is not None
        self.loop.send_signal(sig)
        code = self.loop.wait(timeout=30)
        self.loop = None
        return code

    def device(self, *arguments: str, port: int = 0) -> int:
        """Start a simulated Modbus device; returns its port."""
        process = subprocess.Popen(
            [self.program, "simulate", "modbus", "--port", str(port), *arguments],
            env=self.environ,
            stdout=subprocess.PIPE,
        )
        self.devices.append(process)
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        return int(line.rsplit(":", 1)[1])

    def write(self, name: str, text: str) -> Path:
        """Write one manifest file."""
        path = self.desired / name
        path.write_text(text)
        return path

    def status(self, name: str) -> dict[str, Any]:
        """The status file of a name; empty while there is none."""
        try:
            found: dict[str, Any] = json.loads((self.state / "status" / f"{name}.json").read_bytes())
        except FileNotFoundError:
            return {}
        return found

    def source(self) -> dict[str, Any]:
        """What status.json says of where manifests come from."""
        found: dict[str, Any] = json.loads((self.state / "status.json").read_bytes())["source"]
        return found

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """One condition of a name; empty while it has none of that type."""
        return next((c for c in self.status(name).get("conditions", ()) if c["type"] == kind), {})

    def wait_ready(self, *names: str, deadline_s: float = 30.0) -> None:
        """Wait until all are Ready."""
        wait_until(
            lambda: all(self.condition(name, "Ready").get("status") == "True" for name in names),
            f"{', '.join(names)} to be Ready",
            deadline_s,
        )

    def pids(self, name: str | None = None) -> list[int]:
        """Live processes of this plant, found by their environment."""
        marker = f"DAQ_STATE_DIR={self.state.resolve()}".encode()
        named = f"DAQ_NAME={name}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if marker in variables and (name is None or named in variables):
                found.append(int(entry.name))
        return sorted(found)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the embedded database; none while it does not exist."""
        path = self.state / "data.db"
        if not path.exists():
            return []
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(query).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()

    def close(self) -> None:
        """End the loop, everything it runs, and the devices."""
        self.daq("down")
        if self.loop is not None:
            self.loop.kill()
            self.loop.wait()
        for process in self.devices:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def collector(name: str, port: int, *, interval: str = "200ms", unit: int = 1, extra: str = "") -> str:
    """A small Modbus collector on a simulated press."""
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: modbus
  interval: {interval}
  devices:
    - {{host: 127.0.0.1, port: {port}, unitId: {unit}, timeout: 500ms}}
  tags:
    - {{name: first, address: "holding:0", type: uint16}}
    - {{name: second, address: "holding:1", type: int16}}
{extra}"""


def sleeper(name: str, extra: str = "") -> str:
    """An exec collector that does nothing for long."""
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: exec
  command: [sleep, "100000"]
{extra}"""
