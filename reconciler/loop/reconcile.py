"""One pass: read what is wanted, look at what is there, decide, act, publish."""

from __future__ import annotations

import logging
import os
import random
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collectors.contract import SpecFile, StateDir, monotonic, read_json
from reconciler import __version__, restarts
from reconciler.changes import live_file
from reconciler.desired import DirectoryReader
from reconciler.loop.control import answers
from reconciler.loop.records import Records
from reconciler.model import (
    Action,
    Desired,
    History,
    Manifest,
    Node,
    Observed,
    Plan,
    RestartPolicy,
    Step,
)
from reconciler.plan import plan
from reconciler.processes import Processes, StartError, StateDirError, lock_instance, open_state_dir
from reconciler.publish import Publisher
from reconciler.status import is_converged, process_status, status_document, summary

logger = logging.getLogger("daq.reconcile")

SAMPLE_EVERY_S = 5.0
"""CPU and memory are measured so often."""
SOON_S = 0.25
"""The next look while something is on its way: starting, stopping, or a lock just held."""
GAP_S = 15.0
"""Passes further apart were not made throughout: a report may be old only because nobody looked."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found and what is to be done about it."""

    desired: Desired
    observed: Observed
    histories: Mapping[str, History]
    plan: Plan
    now: float


class Reconciler:
    """Brings the plant of one state directory to what the manifests say, pass by pass."""

    def __init__(self, state: StateDir, desired_root: Path, node: Node, *, owner: bool) -> None:
        self.state = state
        self.desired_root = desired_root.absolute()
        self.processes = Processes(state)
        self.publisher = Publisher(state)
        self.document: Mapping[str, Any] = {}
        self._node = node
        self._reader = DirectoryReader(self.desired_root, state.root / "good", keep=owner)
        self._records = Records(state)
        self._pid = os.getpid() if owner else None
        self._started_at = time.time()
        self._sampled = float("-inf")
        self._passes_since = self._looked = monotonic()
        self._look: Look | None = None
        self._statuses = _published(state)
        self._done: list[str] = []

    @classmethod
    @contextmanager
    def owning(
        cls, state: StateDir, desired: Path, node: Node, *, wait_s: float = 0.0
    ) -> Iterator[Reconciler]:
        """The only reconciler of a state directory; its lock is waited for, `wait_s` at most. Raises StateDirError."""
        state = open_state_dir(state.root)
        lock = _lock(state, wait_s)
        try:
            reconciler = cls(state, desired, node, owner=True)
            try:
                yield reconciler
            finally:
                reconciler.processes.close()
        finally:
            os.close(lock)

    @classmethod
    @contextmanager
    def reading(cls, state: StateDir, desired: Path, node: Node) -> Iterator[Reconciler]:
        """One that only looks: it writes nothing and may stand beside the owner."""
        reconciler = cls(state, desired, node, owner=False)
        try:
            yield reconciler
        finally:
            reconciler.processes.close()

    # --- looking ------------------------------------------------------------------------------------------------

    def look(self, *, force: bool = False) -> Look:
        """Read, observe, decide; nothing is done."""
        now, wall = monotonic(), time.time()
        if now - self._looked > GAP_S:
            self._passes_since = now
        self._looked = now
        desired = self._reader.read(now)
        if now - self._sampled >= SAMPLE_EVERY_S:
            self._sampled = now
            self.processes.sample()
        told = {n: h.terminations[-1].instance for n, h in self._records.histories.items() if h.terminations}
        observed = self.processes.observe(told)
        histories = self._after_ends(desired, observed, now, wall)
        decided = plan(
            desired,
            observed,
            histories,
            now,
            wall=wall,
            node=self._node,
            passes_since=self._passes_since,
            fingerprints={
                name: self.processes.fingerprint(self._spec_file(desired.manifests[name]))
                for name, history in histories.items()
                if history.held and name in desired.manifests
            },
            force=force,
        )
        return Look(desired, observed, histories, decided, now)

    def look_settled(self) -> Look:
        """A look at manifests that nobody is about to change: what is half-written or just removed is waited for."""
        while True:
            look = self.look()
            if look.desired.look_at is None:
                return look
            time.sleep(max(0.0, look.desired.look_at - monotonic()))

    def describe(self, look: Look) -> Mapping[str, Any]:
        """The document of status.json for a look."""
        wall = time.time()
        statuses = [
            process_status(
                step,
                look.desired,
                look.observed,
                look.histories.get(step.name, History()),
                node=self._node,
                now=look.now,
                wall=wall,
                previous=self._statuses.get(step.name),
            )
            for step in look.plan.steps
        ]
        self._statuses = {s["name"]: s for s in statuses}
        converged = is_converged(look.plan.steps, statuses, look.desired)
        return status_document(
            statuses,
            summary(statuses, look.desired, look.observed, converged=converged),
            look.desired.source,
            pid=self._pid,
            started_at=self._started_at if self._pid else None,
            heartbeat_at=wall,
            version=__version__,
            node=self._node,
            converged=converged,
        )

    # --- passes -------------------------------------------------------------------------------------------------

    def pass_once(self, *, force: bool = False) -> None:
        """Look, act on what was decided, publish what was seen."""
        look = self.look(force=force)
        self._records.save(look.histories)  # ends before acts: a crash in between must not tell them twice
        histories = dict(look.histories)
        for step in look.plan.acting:
            histories[step.name] = self._act(step, look, histories.get(step.name, History()))
        self._records.save(restarts.after_pass(histories, look.plan, look.observed.boot_id, look.now))
        if look.plan.acting:
            self.processes.prune(self._referred(look.desired))
        self._publish(replace(look, histories=histories))

    def stop_pass(self, reason: str = "Down") -> None:
        """Like a pass over manifests that want nothing: everything is asked to stop, then killed past its grace."""
        look = self.look()
        for step in look.plan.steps:
            for instance in look.observed.instances.get(step.name, ()):
                if instance.stopping is None:
                    self.processes.stop(instance, step.stop, reason, look.now)
                elif look.now >= instance.stopping.kill_at:
                    self.processes.kill(instance)
        self._records.save(look.histories)
        self._publish(look)

    def apply(self, *, force: bool, timeout_s: float) -> Mapping[str, Any]:
        """Passes until settled or out of time; returns :meth:`outcome`."""
        self.note_actions()
        self._pass_until(lambda: self.settled, timeout_s, lambda: self.pass_once(force=force))
        return self.outcome()

    def stop_all(self, *, timeout_s: float) -> Mapping[str, Any]:
        """Passes until nothing of this state directory runs or time is out: names that ``stopped``, names ``left``."""
        self.stop_pass()
        names = self.running
        self._pass_until(lambda: not self.running, timeout_s, self.stop_pass)
        return {"stopped": sorted(names - self.running), "left": sorted(self.running)}

    def _pass_until(
        self, condition: Callable[[], bool], timeout_s: float, make_pass: Callable[[], None]
    ) -> None:
        end = monotonic() + timeout_s
        with select.epoll() as deaths:
            deaths.register(self.processes.fileno(), select.EPOLLIN)
            make_pass()
            while not condition() and (now := monotonic()) < end:
                deaths.poll(max(0.0, min(end, self.look_at or end) - now))
                make_pass()

    # --- what the last pass found -------------------------------------------------------------------------------

    @property
    def running(self) -> set[str]:
        """Names with a live process at the last look."""
        return {n for n, found in self._look.observed.instances.items() if found} if self._look else set()

    @property
    def look_at(self) -> float | None:
        """Monotonic time of the next look that the last one asked for."""
        if self._look is None:
            return None
        wishes = [self._look.desired.look_at, self._look.plan.look_at]
        if (
            any(s["status"] in ("starting", "stopping") for s in self._statuses.values())
            or self._look.plan.acting
        ):
            wishes.append(self._look.now + SOON_S)
        return min((w for w in wishes if w is not None), default=None)

    @property
    def settled(self) -> bool:
        """Whether further passes would wait for people or devices only: converged, or all that is possible done."""
        look = self._look
        if look is None or look.desired.look_at is not None or look.plan.acting:
            return False
        if self.document["converged"]:
            return True
        on_their_way = any(
            s["status"] in ("starting", "stopping", "crashed") for s in self._statuses.values()
        )
        return bool(look.plan.refusal or look.desired.errors or look.desired.unread) and not on_their_way

    def note_actions(self) -> None:
        """Begin to collect what passes do, for :meth:`outcome`."""
        self._done = []

    def outcome(self) -> Mapping[str, Any]:
        """What was done since :meth:`note_actions`, and what stands in the way."""
        assert self._look is not None
        desired, refusal = self._look.desired, self._look.plan.refusal
        problems = [str(e) for e in desired.errors]
        problems += [desired.unread] if desired.unread else []
        problems += [f"refused: {refusal.message}: {', '.join(refusal.names)}"] if refusal else []
        refused = bool(problems)
        for step in self._look.plan.steps:
            if not refused and step.verdict in ("hold", "wait"):
                problems.append(f"{step.name}: {step.message}")
        done = list(self._done)
        return {
            "converged": self.document["converged"],
            "refused": refused,
            "done": done,
            "problems": problems,
        }

    def headline(self) -> str:
        """The last pass in a few words."""
        collectors = self.document["summary"]["total_processes"]
        state = "converged" if self.document["converged"] else "not converged yet"
        return f"{state}: {collectors} collectors, {len(self.running)} processes"

    # --- acting -------------------------------------------------------------------------------------------------

    def _act(self, step: Step, look: Look, history: History) -> History:
        """Do one step; returns what is remembered of the name then."""
        logger.info("%s: %s (%s: %s)", step.name, step.verdict, step.reason, step.message)
        self._done.append(f"{step.verdict:<8} {step.name}  {step.message}")
        match step.action:
            case Action.START:
                return self._start(step, look, history)
            case Action.STOP:
                for instance in step.instances:
                    self.processes.stop(instance, step.stop, step.reason, look.now)
            case Action.KILL:
                for instance in step.instances:
                    self.processes.kill(instance)
            case Action.UPDATE:
                manifest = look.desired.manifests[step.name]
                self.processes.update(step.name, live_file(look.desired, manifest))
        return history

    def _start(self, step: Step, look: Look, history: History) -> History:
        manifest = step.manifest
        assert manifest is not None
        now = monotonic()
        spec, live = self._spec_file(manifest), live_file(look.desired, manifest)
        if step.name not in look.desired.manifests:
            spec, live = look.observed.applied[step.name].spec, look.observed.applied[step.name].live
        fingerprint = self.processes.fingerprint(spec)
        try:
            self.processes.start(spec, live, base=self.desired_root.parent)
        except StartError as error:
            if error.reason == "LockHeld":
                return history
            logger.error("%s", error)
            self._done.append(f"failed   {manifest.name}  {error}")
            jitter = random.uniform(-1, 1)
            return restarts.after_failed_start(
                history,
                manifest.digest,
                fingerprint,
                error.message,
                manifest.restart,
                now=now,
                wall=time.time(),
                jitter=jitter,
                hold=error.reason == "ConfigurationInvalid",
            )
        return restarts.after_start(history, manifest.digest, fingerprint, now)

    # --- remembering --------------------------------------------------------------------------------------------

    def _after_ends(
        self, desired: Desired, observed: Observed, now: float, wall: float
    ) -> dict[str, History]:
        histories = {}
        for name, history in self._records.histories.items():
            was_ready = self._look is not None and self._statuses.get(name, {}).get("last_error") is None
            current = restarts.after_ready(history) if was_ready else history
            histories[name] = restarts.in_boot(current, observed.boot_id)
        for end in observed.ended:
            manifest = desired.manifests.get(end.name)
            history = restarts.after_end(
                histories.get(end.name, History(boot_id=observed.boot_id)),
                end,
                manifest.restart if manifest else RestartPolicy(),
                now=now,
                wall=wall,
                jitter=random.uniform(-1, 1),
                completes=manifest is not None and manifest.type == "exec",
            )
            histories[end.name] = history
            if self._pid:
                after = f"; next start in {history.next_start - now:.1f} s" if history.next_start else ""
                logger.info("%s: %s%s", end.name, restarts.how(end), after)
        return histories

    def _referred(self, desired: Desired) -> set[tuple[str, str]]:
        wanted = {(m.name, m.digest) for m in desired.manifests.values()}
        return wanted | {(n, h.digest) for n, h in self._records.histories.items() if h.digest}

    def _publish(self, look: Look) -> None:
        was_converged = self.document.get("converged")
        self._look = look
        self.document = self.describe(look)
        if self.document["converged"] != was_converged:
            logger.info("%s", self.headline())
        self.publisher.publish(self.document, look.now)

    def _spec_file(self, manifest: Manifest) -> SpecFile:
        directory = (self.desired_root / manifest.path).parent
        return SpecFile(
            manifest.kind, manifest.name, manifest.digest, manifest.given, self._node.name, str(directory)
        )


def _published(state: StateDir) -> dict[str, Mapping[str, Any]]:
    """The status objects of the reconciler before, so that a condition's `since` outlives it."""
    try:
        return {s["name"]: s for s in read_json(state.root / "status.json")["processes"]}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("cannot read the last status, passed over: %s", error)
        return {}


def _lock(state: StateDir, wait_s: float) -> int:
    end = monotonic() + wait_s
    while True:
        try:
            return lock_instance(state)
        except StateDirError:
            if monotonic() >= end or answers(state):  # a loop never gives it up, an apply does
                raise
        time.sleep(SOON_S)
