"""The names of a storm, what is wanted of each now, and the loops that see to it.

Manifests lie in a repository: the loops read its work tree, or its commits.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from collectors.contract import StateDir
from reconciler.gitsource.commands import CONFIG
from reconciler.gitsource.remote import Remote
from reconciler.loop.alone import stop_all
from reconciler.loop.reconcile import Reconciler
from reconciler.loop.run import run_loop
from reconciler.model import Node
from reconciler.processes import proctable
from tests.e2e.plant import DAQ
from tests.processtable import Seen, processes
from tests.repository import Repository

LIVES = {
    "plain": "exec sleep 100000",
    "deaf": "trap '' TERM; exec sleep 100000",
    "family": "sleep 100000 & sleep 100000 & wait",
    "forking": "setsid sleep 100000 & exec sleep 100000",
    "leaving": "setsid sleep 100000 & sleep 1; exit 1",
}
COLLECTOR = "collector"
"""The one kind that is no shell but a built-in collector of a simulated device."""
COLLECTORS = 4
SINK = "local"
PULL_S = 0.2
TAKEN = 99
"""Exit code of flock(1) where another holds the lock; killed, as it may be here, it exits with another."""
REMOVABLE = 2
"""Names that are removed and come back; more would meet the prune guard."""
NODE = Node("storm")


@dataclass
class Wanted:
    """What the manifest of a name says; `life` is a shell's last command, empty for a built-in collector."""

    life: str
    version: int = 0
    running: bool = True
    present: bool = True


class Plant:
    """A device, manifests, state and loops below one directory; with `git` the loops follow commits."""

    def __init__(self, root: Path, each: int, *, git: bool) -> None:
        self.root = root
        self.git = git
        self.state = StateDir((root / "state").resolve())
        self.wanted = {f"{kind}-{n}": Wanted(life) for kind, life in LIVES.items() for n in range(each)}
        self.wanted |= {f"{COLLECTOR}-{n}": Wanted("") for n in range(COLLECTORS)}
        self.removable = [f"plain-{n}" for n in range(REMOVABLE)]
        self.loops: set[int] = set()
        self._device = subprocess.Popen([DAQ, "simulate", "modbus", "--port", "0"], stdout=subprocess.PIPE)
        assert self._device.stdout is not None
        self._port = int(self._device.stdout.readline().decode().rsplit(":", 1)[1])
        self.repository = Repository(root / "plant")
        self._desired = root / "plant" / "desired"
        self._desired.mkdir()
        self.declare(*self.wanted)

    @property
    def manifests(self) -> Path | Remote:
        """What the loops are told to follow."""
        return Remote(str(self.repository.root), pull_s=PULL_S) if self.git else self._desired

    def declare(self, *names: str) -> None:
        """Write the manifests of these names, or remove them, and commit that."""
        for name in names:
            path, wanted = self._desired / f"{name}.yaml", self.wanted[name]
            if wanted.present:
                path.with_suffix(".new").write_text(self._manifest(name, wanted))
                path.with_suffix(".new").replace(path)
            else:
                path.unlink(missing_ok=True)
        self.repository.commit({})

    def check_out(self) -> None:
        """Have git write every file of another version, and back."""
        self.repository.git("checkout", "--quiet", "HEAD~1")
        self.repository.git("checkout", "--quiet", "main")

    def _manifest(self, name: str, wanted: Wanted) -> str:
        what = self._shell(name, wanted.life) if wanted.life else self._reading()
        return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  state: {"running" if wanted.running else "stopped"}
{what}
  env: {{VERSION: "{wanted.version}"}}
  restart: {{delay: 0s, maxDelay: 200ms}}
  stop: {{grace: 300ms}}
"""

    def _reading(self) -> str:
        return f"""  type: modbus
  interval: 1s
  devices: [{{host: 127.0.0.1, port: {self._port}}}]
  tags: [{{name: first, address: "holding:0", type: uint16}}]"""

    def _shell(self, name: str, life: str) -> str:
        taken = f"[ $? = {TAKEN} ] && echo {name} $$ $DAQ_INSTANCE >>doubled"
        script = f"exec 9>>alone-{name}; flock -n -E {TAKEN} 9; {taken}; {life}"
        return f"""  type: exec
  workingDirectory: {self.root}
  command: [sh, -c, "{script}"]"""

    def fetching(self) -> list[int]:
        """Every git, and helper of one, that a loop has started on its mirror, whether that loop lives or not."""
        config = str(self.state.root / "git" / "config")
        return [pid for pid in proctable.pids() if proctable.has_variable(pid, CONFIG, config)]

    def nurseries(self) -> list[int]:
        """Every one, of whichever loop, and children that do not carry their names yet."""
        return proctable.nurseries(self.state)

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
            run = run_loop(self.state, self.manifests, NODE, None, stop_on_exit=False, say=print)
            os._exit(asyncio.run(run))
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
        if found.pop(SINK, None) is None:
            wrong.append(f"{SINK} does not run")
        return wrong + [f"{name} is nothing we know" for name in found]

    def close(self) -> list[str]:
        """Bring everything down; names of which any process is left."""
        self.kill_loops()
        with Reconciler.owning(self.state, self.manifests, NODE) as reconciler:
            left = list(stop_all(reconciler, timeout_s=30)["left"])
        left += [p.name for p in self.root.glob("alone-*") if _is_locked(p)]
        left += [f"nursery {pid}" for pid in self.nurseries()]
        return left + [f"git {pid}" for pid in self.fetching()]

    def end_device(self) -> None:
        """It answers no more."""
        self._device.kill()
        self._device.communicate()


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
