"""The processes of a state directory: found, started, asked to stop, killed, and their ends seen.

Theory. The process table is the state: every child carries state directory, name, digest and instance in its
environment, so any reconciler, however the one before it ended, finds all of them in one pass over /proc. No
pid that was written down is ever trusted. A process is ours by its environment, by its arguments, or by being
in a session that a process of ours leads or led; nothing else is ever signalled, and never by number: a pidfd
is opened first and the proof is read again after that (pidfd.send).

A name is free when no process of ours lives under it and its lock can be taken. The lock (an flock on an open
file description that the child inherits) closes what a look at the table cannot: two reconcilers, a look that
raced. Held by somebody not provably ours it is a Holder, and nothing is started.

An end is told once, as a Termination, when the last process of a start has gone; the leader, if it died
before, is kept as a zombie (our child) or by its pidfd (adopted) until then, so that its number is not given
away and its exit is known exactly. What nobody saw, because no reconciler ran, is told as unseen, from the
intent that was on disk before the child existed.

`fileno()` becomes readable when any followed process dies. One thread uses all of this.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from collectors.contract import ENV_INSTANCE, LiveFile, Report, SpecFile, StateDir, to_json, write_json
from reconciler.model import Applied, Holder, Instance, Observed, ProcessId, Stopping, StopPolicy, Termination
from reconciler.processes import locks
from reconciler.processes.ends import Ends
from reconciler.processes.environment import UnresolvedError, child_environment, fingerprint
from reconciler.processes.files import ChildFiles, is_writable
from reconciler.processes.following import Following
from reconciler.processes.identity import StateDirError, lock_instance, open_state_dir, state_id
from reconciler.processes.intents import Intent, Intents
from reconciler.processes.logcap import cut_head
from reconciler.processes.members import Key
from reconciler.processes.nursery import Nursery, Warmth
from reconciler.processes.runs import Run
from reconciler.processes.spawn import Born, Command, StartError, bear, command_of, nice_of
from reconciler.processes.usage import Sampler

__all__ = [
    "Processes",
    "StartError",
    "StateDirError",
    "Warmth",
    "lock_instance",
    "open_state_dir",
    "state_id",
]

logger = logging.getLogger("daq.processes")

KILL_ROUNDS = 20
"""Looks in which a kill follows processes that fork while they are killed."""


class Processes:
    """See the module. `python` runs built-in children; references of manifests are looked up in `environ`."""

    def __init__(
        self, state: StateDir, *, python: str = sys.executable, environ: Mapping[str, str] = os.environ
    ) -> None:
        """`state` comes from :func:`open_state_dir`. Raises OSError."""
        self._state = state
        self._python = python
        self._environ = environ
        self._intents = Intents(state)
        self._following = Following(state, self._intents)
        self._nursery = Nursery(state, python, environ, self._following.wakes)
        self._files = ChildFiles(state)
        self._ends = Ends(state, self._intents, self._files, self._following.boot, environ)
        self._sampler = Sampler()

    def close(self) -> None:
        """Let go of all processes; they live on."""
        self._nursery.close()
        self._following.close()

    def fileno(self) -> int:
        """Readable when a process has died since :meth:`drain`; for ``loop.add_reader``."""
        return self._following.wakes.fileno()

    def drain(self) -> None:
        """Make `fileno()` unreadable again; a look should follow soon."""
        self._following.drain()

    # --- looking --------------------------------------------------------------------------------------------

    def observe(self, known: Mapping[str, str], *, quick: bool = False) -> Observed:
        """One look. `known`: for each name the instance whose end was last recorded, so that none is told
        twice. A `quick` one is at processes only: reports, live files and logs are as they were last looked at.

        ``complete`` is False where /proc could not be read whole; then nothing has ended and nothing is new.
        """
        self.drain()
        self._ends.accounted.update(known)
        try:
            groups = self._following.look(quick=quick)
            holders = self._following.holders(groups)
            gone = self._following.update(groups)
        except OSError as error:
            logger.warning("cannot read the process table: %s", error)
            return self._observed(quick=quick, complete=False)
        ended = [*map(self._ends.of, gone), *self._ends.unseen(self._following.runs, holders)]
        return self._observed(quick=quick, holders=holders, ended=tuple(ended))

    def sample(self) -> None:
        """Measure CPU and memory of all that was found at the last look; instances carry it from now on."""
        self._sampler.sample(self._following.runs.values())

    def cap_logs(self) -> None:
        """Cut the head off every log that has grown too large."""
        for path in (self._state.root / "logs").glob("*.log"):
            try:
                if cut := cut_head(path):
                    logger.info("%s: its log lost its oldest %d bytes", path.stem, cut)
            except OSError as error:
                logger.warning("cannot cut %s: %s", path, error.strerror)

    def applied(self, name: str, digest: str) -> Applied | None:
        """What that digest of `name` was given; None where the files are gone."""
        return self._files.applied(name, digest)

    def reports(self, names: Collection[str]) -> Mapping[str, Report]:
        """The newest reports of these names."""
        return self._files.reports(names)

    def fingerprint(self, spec: SpecFile) -> str:
        """Changes when a variable or file that `spec` refers to does."""
        return fingerprint(spec, self._environ)

    # --- acting ---------------------------------------------------------------------------------------------

    def start(self, spec: SpecFile, live: LiveFile, *, base: Path) -> None:
        """Start a name that the last look found free; relative paths of exec start at `base`. See :meth:`begin_all`.

        Raises StartError with reason LockHeld, ConfigurationInvalid or StartFailed.
        """
        name = spec.name
        if any(key.name == name for key in self._following.runs):
            raise StartError("LockHeld", f"cannot start {name}: a process of it is still alive")
        instance = uuid.uuid4().hex
        try:
            environ = child_environment(spec, self._state, instance, self._python, self._environ)
        except UnresolvedError as error:
            raise StartError("ConfigurationInvalid", f"cannot start {name}: {error}") from error
        command = command_of(spec, self._state, self._python, base, environ["PATH"])
        try:
            born = self._bear(spec, live, command, environ)
        except OSError as error:
            self._intents.drop(name)
            raise StartError("StartFailed", f"cannot start {name}: {error}") from error
        if born is None:  # a child that waited for its name may have it, or get it yet
            self._following.forget_strangers()
        else:
            self._following.begin(Key(name, instance), born, tuple(command.arguments))

    def begin_all(self) -> None:
        """Let the started work at once; without that they wait a moment for others that are started with them."""
        self._nursery.begin_all()

    @contextmanager
    def free(self, name: str) -> Iterator[bool]:
        """Hold the lock of a name, so that nothing of it can be started; yields whether it was free. Raises OSError."""
        alive = any(key.name == name for key in self._following.runs)
        lock = None if alive else locks.take(self._state.lock(name))
        try:
            yield lock is not None
        finally:
            if lock is not None:
                os.close(lock)

    def update(self, name: str, live: LiveFile) -> None:
        """Replace the live file of `name`. Raises OSError."""
        write_json(self._state.live(name), to_json(live))
        self._files.live_written(name)

    def stop(self, instance: Instance, policy: StopPolicy, reason: str, now: float) -> None:
        """Ask the leader by the policy's signal; where it is dead, all that live on. What fails is logged."""
        run = self._following.runs.get(Key(instance.name, instance.instance))
        if run is None or not run.members:
            return
        run.stopping = Stopping(now, now + policy.grace_s, reason)
        run.asked = run.asked or run.stopping
        self._note_stop(run, sent=False)
        leader = run.leader
        for process in (leader,) if leader and run.leader_alive else run.members:
            self._following.send(run, process, signal.Signals[policy.signal])
        self._note_stop(run, sent=True)

    def kill(self, instance: Instance) -> None:
        """KILL every process of it, until a look finds none that was not killed. What fails is logged."""
        run = self._following.runs.get(Key(instance.name, instance.instance))
        killed: set[ProcessId] = set()
        try:
            for _ in range(KILL_ROUNDS):
                found = self._following.look().get(run.key) if run else None
                fresh = [p for p in found.members if p not in killed] if found else []
                if run is None or found is None or not fresh:
                    return
                run.follow(found, self._following.wakes)
                for process in fresh:
                    self._following.send(run, process, signal.SIGKILL)
                    killed.add(process)
        except OSError as error:
            logger.error("%s: cannot look for its processes to kill them: %s", instance.name, error)

    def prune(self, keep: Collection[tuple[str, str]]) -> None:
        """Remove the spec files that neither a process nor `keep` (name, digest) refers to, and intents of
        names that are not in `keep` and whose end was told. What cannot be removed now is at a later pass.
        """
        kept = {f"{name}.{digest}.json" for name, digest in keep}
        kept |= {f"{key.name}.{run.digest}.json" for key, run in self._following.runs.items()}
        specs = self._state.root / "specs"
        try:
            for file in os.listdir(specs) if specs.exists() else ():  # noqa: PTH208  (hot path)
                if file not in kept and file.endswith(".json") and not file.startswith("."):
                    self._files.remove_spec(specs / file)
        except OSError as error:
            logger.warning("cannot remove specs that nothing refers to: %s", error)
        names = {name for name, _ in keep} | {key.name for key in self._following.runs}
        for name, intent in list(self._intents.by_name.items()):
            if name not in names and self._ends.accounted.get(name) == intent.instance:
                self._intents.drop(name)
        self._ends.prune(self._following.runs)

    def keep_warm(self) -> None:
        """See to it that a nursery is warm soon. What fails is logged."""
        self._nursery.tend()

    @property
    def warmth(self) -> Warmth:
        """Whether built-in children are forked now, soon (``warming``), or spawned."""
        return self._nursery.warmth

    def end_nursery(self) -> None:
        """End it; children live on."""
        self._nursery.end()

    # --- inside ---------------------------------------------------------------------------------------------

    def _bear(
        self, spec: SpecFile, live: LiveFile, command: Command, environ: Mapping[str, str]
    ) -> Born | None:
        """The intent is on disk before the child exists. Raises StartError or OSError."""
        name, path = spec.name, self._state.lock(spec.name)
        lock = locks.take(path)
        if lock is None:
            raise StartError("LockHeld", f"cannot start {name}: its lock is held")
        try:
            self._write_spec(spec)
            if self._files.live(name) != live:
                self.update(name, live)
            boot_id = self._following.boot.boot_id
            intent = Intent(environ[ENV_INSTANCE], spec.digest, boot_id, self._files.log_size(name))
            self._intents.put(name, intent)
        except BaseException:
            os.close(lock)
            raise
        log = self._state.log(name)
        nice = nice_of(live.spec)
        return bear(command, nice, environ=environ, lock=path, held=lock, log=log, nursery=self._nursery)

    def _note_stop(self, run: Run, *, sent: bool) -> None:
        """Before the signal, so that an end that nobody sees is known as wished; after it, so that it is sent once."""
        intent = self._intents.by_name.get(run.key.name)
        if intent is None or intent.instance != run.key.instance:
            return
        try:
            self._intents.put(run.key.name, replace(intent, stopping=run.stopping, sent=sent))
        except OSError as error:  # a full disk must not keep anything running
            logger.warning("%s: cannot note the stop: %s", run.key.name, error)

    def _write_spec(self, spec: SpecFile) -> None:
        path = self._state.spec(spec.name, spec.digest)
        if self._files.spec(spec.name, spec.digest) != spec:
            write_json(path, to_json(spec))

    def _observed(
        self,
        *,
        quick: bool,
        complete: bool = True,
        holders: Mapping[str, Holder] | None = None,
        ended: tuple[Termination, ...] = (),
    ) -> Observed:
        instances: dict[str, tuple[Instance, ...]] = {}
        given = {(name, intent.digest): None for name, intent in self._intents.by_name.items()}
        for key, run in sorted(self._following.runs.items()):
            if not quick:
                run.heard(self._files.log_size(key.name))
            found = run.instances()
            instances[key.name] = (*instances[key.name], *found) if key.name in instances else found
            given[key.name, run.digest] = None  # what runs counts before what ran last
        return Observed(
            boot_id=self._following.boot.boot_id,
            complete=complete,
            instances=instances,
            holders=holders or {},
            ended=ended,
            reports=self._files.known_reports if quick else self._files.all_reports(),
            applied={n: it for n, digest in given if (it := self._files.applied(n, digest, quick=quick))},
            writable=is_writable(self._state.root),
        )
