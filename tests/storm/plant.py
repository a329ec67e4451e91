"""The names of a storm, what is wanted of each now, and the loops that see to it."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from collectors.contract import StateDir
from reconciler.loop.alone import stop_all
from reconciler.loop.reconcile import Reconciler
from reconciler.loop.run import run_loop
from reconciler.model import Node
from tests.processtable import Seen, processes

LIVES = {
    "plain": "exec sleep 100000",
    "deaf": "trap '' TERM; exec sleep 100000",
    "family": "sleep 100000 & sleep 100000 & wait",
    "forking": "setsid sleep 100000 & exec sleep 100000",
    "leaving": "setsid sleep 100000 & sleep 1; exit 1",
}
TAKEN = 99
"""Exit code of flock(1) where another holds the lock; killed, as it may be here, it exits with another."""
REMOVABLE = 2
"""Names that are removed and come back; more would meet the prune guard."""
NODE = Node("storm")


@dataclass
class Wanted:
    """What the manifest of a name says."""

    life: str
    version: int = 0
    running: bool = True
    present: bool = True


class Plant:
    """Manifests, state and loops below one directory."""

    def __init__(self, root: Path, each: int) -> None:
        self.root = root
        self.state = StateDir((root / "state").resolve())
        self.wanted = {f"{kind}-{n}": Wanted(life) for kind, life in LIVES.items() for n in range(each)}
        self.removable = [f"plain-{n}" for n in range(REMOVABLE)]
        self.loops: set[int] = set()
        (root / "desired").mkdir()
        for name in self.wanted:
            self.declare(name)

    def declare(self, name: str) -> None:
        """Write the manifest of a name, or remove it."""
        path, wanted = self.root / "desired" / f"{name}.yaml", self.wanted[name]
        if not wanted.present:
            path.unlink(missing_ok=True)
            return
        taken = f"[ $? = {TAKEN} ] && echo {name} $$ $DAQ_INSTANCE >>doubled"
        script = f"exec 9>>alone-{name}; flock -n -E {TAKEN} 9; {taken}; {wanted.life}"
        text = f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: exec
  state: {"running" if wanted.running else "stopped"}
  command: [sh, -c, "{script}"]
  env: {{VERSION: "{wanted.version}"}}
  restart: {{delay: 0s, maxDelay: 200ms}}
  stop: {{grace: 300ms}}
"""
        path.with_suffix(".new").write_text(text)
        path.with_suffix(".new").replace(path)

    def start_loop(self) -> None:
        """Fork one; where another still owns the directory it ends by itself."""
        pid = os.fork()
        if pid:
            self.loops.add(pid)
            return
        try:
            log = os.open(self.root / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(log, 1), os.dup2(log, 2)
            logging.basicConfig(
                level=logging.INFO, force=True, format="%(asctime)s %(process)d %(name)s %(message)s"
            )
            desired = self.root / "desired"
            os._exit(asyncio.run(run_loop(self.state, desired, NODE, None, stop_on_exit=False, say=print)))
        except BaseException:
            logging.exception("the loop ended")
        finally:
            os._exit(2)

    def kill_loops(self) -> int:
        """SIGKILL all of them; how many there were."""
        for pid in self.loops:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        count = len(self.loops)
        self.loops.clear()
        return count

    def reap_loops(self) -> None:
        """Forget those that ended by themselves."""
        for pid in list(self.loops):
            if os.waitpid(pid, os.WNOHANG)[0]:
                self.loops.discard(pid)

    def doubled(self) -> list[str]:
        """Names that shouted, and those of which two starts live, each seen in two looks."""
        path = self.root / "doubled"
        shouts = path.read_text().splitlines() if path.exists() else []
        return shouts + sorted(self._twice() & self._twice() if self._twice() else ())

    def _twice(self) -> set[str]:
        instances: dict[str, set[str]] = defaultdict(set)
        for seen in processes(self.state.root):
            instances[seen.name].add(seen.instance)
        return {f"{name} {sorted(found)}" for name, found in instances.items() if len(found) > 1}

    def missing(self) -> list[str]:
        """What is wanted and does not run, or runs and is not wanted, or runs in another version."""
        found: dict[str, list[Seen]] = defaultdict(list)
        for seen in processes(self.state.root):
            found[seen.name].append(seen)
        wrong = []
        for name, wanted in self.wanted.items():
            runs = found.pop(name, [])
            if (wanted.running and wanted.present) != bool(runs):
                wrong.append(f"{name} {'runs' if runs else 'does not run'}")
            elif any(_version(seen.pid) not in (str(wanted.version), None) for seen in runs):
                wrong.append(f"{name} runs in another version")
        return wrong + [f"{name} is nothing we know" for name in found if name != "local"]

    def close(self) -> list[str]:
        """Bring everything down; names of which any process is left."""
        self.kill_loops()
        with Reconciler.owning(self.state, self.root / "desired", NODE) as reconciler:
            left = list(stop_all(reconciler, timeout_s=30)["left"])
        return left + [p.name for p in self.root.glob("alone-*") if _is_locked(p)]


def _version(pid: int) -> str | None:
    try:
        parts = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((p.decode().removeprefix("VERSION=") for p in parts if p.startswith(b"VERSION=")), None)


def _is_locked(path: Path) -> bool:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
