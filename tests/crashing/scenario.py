"""A little plant, what happens to it, and the state that it must end in however often its reconciler died."""

from __future__ import annotations

import os
import select
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, read_json
from reconciler.loop.reconcile import Reconciler
from reconciler.model import Node
from reconciler.processes import proctable
from tests.processtable import processes

DEADLINE_S = 30.0
LOOK_EVERY_S = 0.02

FIRST = {"calm": "v1", "edited": "v1", "removed": "v1", "stubborn": "v1", "forker": "v1", "crashing": "v1"}
FIRST |= {"reading": "v1", "unread": "v1"}
THEN = {"calm": "v1", "edited": "v2", "stubborn": "v2", "forker": "v2", "crashing": "v1", "reading": "v2"}
BUILTIN = {"reading", "unread", "local"}
"""Forked by the nursery; their sink, local, needs no manifest."""
STARTS = {"calm": 1, "edited": 2, "removed": 1, "stubborn": 2, "forker": 2, "crashing": 2}

LIVES = {
    "stubborn": "trap '' TERM; exec sleep 100000",
    "forker": "setsid sleep 100000 & exec sleep 100000",
}


def manifest(name: str, version: str) -> str:
    """A program that tells of its start, and shouts if another of its name still lives."""
    if name in BUILTIN:
        return _collector(name, version)
    life = LIVES.get(name, "exec sleep 100000")
    script = (
        f"exec 9>>alone-{name}; flock -n 9 || echo {name} >>doubled; "
        f"echo {name} >>starts; : {version}; {life}"
    )
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: exec
  command: [sh, -c, "{script}"]
  restart: {{delay: 0s}}
  stop: {{grace: 200ms}}
"""


def _collector(name: str, version: str) -> str:
    """One whose device is not there."""
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: modbus
  measurement: {version}
  devices: [{{host: 127.0.0.1, port: 1}}]
  tags: [{{name: t, address: "holding:0", type: uint16}}]
  restart: {{delay: 0s}}
  stop: {{grace: 200ms}}
"""


def declare(root: Path, wanted: dict[str, str]) -> None:
    """Write the manifests as if they had been there for long."""
    desired = root / "desired"
    desired.mkdir(exist_ok=True)
    for path in desired.iterdir():
        if path.stem not in wanted:
            path.unlink()
    for name, version in wanted.items():
        path, text = desired / f"{name}.yaml", manifest(name, version)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
            os.utime(path, (time.time() - 3600,) * 2)


def drive(root: Path) -> None:
    """From wherever the one before left off to the end."""
    phase = root / "phase"
    with Reconciler.owning(StateDir(root / "state"), root / "desired", Node("n")) as reconciler:
        if not phase.exists():
            declare(root, FIRST)
            _converge(root, reconciler, FIRST)
            declare(root, THEN)
            for process in processes(root / "state"):
                if process.name == "crashing":
                    os.kill(process.pid, signal.SIGKILL)
            phase.touch()
        _converge(root, reconciler, THEN)


def _converge(root: Path, reconciler: Reconciler, wanted: dict[str, str]) -> None:
    end = time.monotonic() + DEADLINE_S
    with select.epoll() as deaths:
        deaths.register(reconciler.processes.fileno(), select.EPOLLIN)
        while time.monotonic() < end:
            reconciler.processes.keep_warm()
            reconciler.pass_once()
            if _settled(root, reconciler, wanted):
                return
            deaths.poll(LOOK_EVERY_S)
    raise TimeoutError(f"not settled: {[(p['name'], p['status']) for p in reconciler.document['processes']]}")


def _settled(root: Path, reconciler: Reconciler, wanted: dict[str, str]) -> bool:
    """Whether exactly what is wanted runs, each in its newest version and past its shell."""
    shown = {p["name"]: p for p in reconciler.document["processes"] if p["kind"] == "Collector"}
    running = processes(root / "state")
    return (
        shown.keys() == wanted.keys()
        and all(p["status"] in ("running", "starting") for p in shown.values())
        and Counter(p.name for p in running) == Counter([*wanted, "forker", "local"])
        and all(p.digest == shown[p.name]["digest"] for p in running if p.name in shown)
        and all(p.name in BUILTIN or proctable.command(p.pid)[:1] == ("sleep",) for p in running)
    )


def end_state(root: Path) -> dict[str, Any]:
    """What must not depend on when reconcilers died."""
    state = root / "state"
    records = {p.stem: read_json(p) for p in (state / "records").glob("[!.]*.json")}
    intents = {p.stem: read_json(p)["instance"] for p in (state / "intents").glob("[!.]*.json")}
    running = processes(state)
    return {
        "processes": sorted((p.name, p.digest) for p in running),
        "starts": dict(sorted(Counter((root / "starts").read_text().split()).items())),
        "doubled": (root / "doubled").exists(),
        "restart_count": {n: r["restart_count"] for n, r in records.items() if n in THEN},
        "digests": {n: r["digest"] for n, r in records.items() if n in THEN},
        "held": sorted(n for n, r in records.items() if r["held"]),
        "specs": sorted(p.name for p in (state / "specs").glob("[!.]*")),
        "intents are of what runs": intents == {p.name: p.instance for p in running},
    }
