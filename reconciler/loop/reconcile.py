"""One pass: read what is wanted, look at what is there, decide, act, publish."""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, monotonic
from reconciler import __version__, restarts
from reconciler.described import Descriptions
from reconciler.events import EventLog
from reconciler.fieldtypes import Known, lock_types
from reconciler.gitsource.remote import Remote
from reconciler.gitsource.source import reader_of
from reconciler.loop.clock import Clock
from reconciler.loop.control import lock_when_free
from reconciler.loop.expectation import Expectation
from reconciler.loop.outboxes import Outboxes
from reconciler.loop.outcome import Look, headline, is_settled, outcome
from reconciler.loop.overrides import Overrides
from reconciler.loop.perform import Performer
from reconciler.loop.records import Records
from reconciler.model import Desired, History, Node, Observed
from reconciler.news import News, of_clock, of_end, of_passes, of_step
from reconciler.plan import plan
from reconciler.processes import Processes, open_state_dir
from reconciler.publish import Publisher, last_published
from reconciler.status import is_converged, status_document, summary
from reconciler.turns import at_once, in_turn

logger = logging.getLogger("daq.reconcile")

SAMPLE_EVERY_S = 5.0
"""CPU and memory are measured so often."""
SOON_S = 0.25
"""The next look while something is on its way: starting, stopping, or a lock just held."""
TURN_S = 0.1
"""The same while starts wait for their turn."""
GAP_S = 15.0
"""Passes further apart were not made throughout: a report may be old only because nobody looked."""


class Reconciler:
    """Brings the plant of one state directory to what the manifests say, pass by pass."""

    def __init__(self, state: StateDir, manifests: Path | Remote, node: Node, *, owner: bool) -> None:
        self.state = state
        self.processes = Processes(state)
        self.publisher = Publisher(state)
        self.overrides = Overrides(state)
        self.events = EventLog(state)
        self.document: Mapping[str, Any] = {}
        self._node = node
        self.reader = reader_of(manifests, state.root, keep=owner)
        self._records = Records(state)
        self._pid = os.getpid() if owner else None
        self._started_at, self._clock = time.time(), Clock()
        self._sampled = float("-inf")
        self._passes_since = self._looked = monotonic()
        self._outboxes = Outboxes(state, self.processes, node)
        self._performer = Performer(self.processes, self.reader, self._records, node, self._outboxes.share)
        self._look: Look | None = None
        self._desired = Desired({})
        self._before = last_published(state)
        self._told = Descriptions(node, {s["name"]: s for s in self._before.get("processes", ())})
        self._field_types = Known()
        self._news: list[News] = []
        self._turns_pending = self._pruned = self._force = False
        self._expected = Expectation()

    @classmethod
    @contextmanager
    def owning(
        cls, state: StateDir, manifests: Path | Remote, node: Node, *, wait_s: float = 0.0
    ) -> Iterator[Reconciler]:
        """The only reconciler of a state directory; its lock is waited for, `wait_s` at most. Raises StateDirError."""
        state = open_state_dir(state.root)
        lock = lock_when_free(state, wait_s)
        try:
            reconciler = cls(state, manifests, node, owner=True)
            try:
                yield reconciler
            finally:
                reconciler.close()
        finally:
            os.close(lock)

    @classmethod
    @contextmanager
    def reading(cls, state: StateDir, manifests: Path | Remote, node: Node) -> Iterator[Reconciler]:
        """One that only looks: it writes nothing and may stand beside the owner."""
        reconciler = cls(state, manifests, node, owner=False)
        try:
            yield reconciler
        finally:
            reconciler.close()

    def close(self) -> None:
        """Let go of all processes and stop reading; the processes live on."""
        self.processes.close()
        self.reader.close()

    def look(self, *, force: bool = False, quick: bool = False) -> Look:
        """Read, observe, decide; nothing is done. A `quick` one is at processes only: what they are, not what is wanted
        or told, may have changed. It is a whole one where the last asked for that by now.
        """
        now, wall, step_s = self._clock.read()
        if step_s:
            self._news.append(of_clock(step_s))
        if now - self._looked > GAP_S:
            self._passes_since = now
        self._looked = now
        quick = quick and self._look is not None and not self._is_due(now)
        if quick:  # whoever is to report for the first time may have rung in vain
            self.processes.reports([n for n, s in self.statuses.items() if s["status"] == "starting"])
        else:
            self._desired = self.reader.read(now)
        if not quick and now - self._sampled >= SAMPLE_EVERY_S:
            self._sampled = now
            self.processes.sample()
            if self._pid:
                self.processes.cap_logs()
        told = {n: h.terminations[-1].instance for n, h in self._records.histories.items() if h.terminations}
        observed = self.processes.observe(told, quick=quick)
        desired = lock_types(self._desired, observed.applied, self._field_types)
        histories = self._after_ends(desired, observed, now, wall)
        decided = plan(
            desired,
            observed,
            histories,
            now,
            wall=wall,
            node=self._node,
            passes_since=self._passes_since,
            pauses=self.overrides.pauses,
            restarts=self.overrides.restarts,
            fingerprints={
                name: self.processes.fingerprint(self._performer.spec_file(desired.manifests[name]))
                for name, history in histories.items()
                if history.held and name in desired.manifests
            },
            force=force,
            before=self._look.plan if self._look else None,
        )
        return Look(desired, observed, histories, decided, now)

    def look_settled(self, *, force: bool = False) -> Look:
        """A look at manifests that nobody is about to change: what is half-written or just removed is waited for."""
        self.reader.refresh()
        while True:
            look = self.look(force=force)
            if look.desired.look_at is None:
                return look
            time.sleep(max(0.0, look.desired.look_at - monotonic()))

    def describe(self, look: Look) -> Mapping[str, Any]:
        """The document of status.json for a look."""
        wall = time.time()
        pauses = self.overrides.pauses
        self._told.update(
            look.plan, look.desired, look.observed, look.histories, now=look.now, wall=wall, pauses=pauses
        )
        statuses = list(self.statuses.values())
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

    def pass_once(self, *, quick: bool = False) -> None:
        """Look, act on what was decided as far as it is its turn, publish what was seen."""
        look = self.look(force=self._force, quick=quick)
        self._records.save(look.histories, durable=False)  # before acts: a crash must not tell ends twice
        bounds = at_once(warmth := self.processes.warmth, os.cpu_count() or 1)
        steps = in_turn(look.plan, look.observed, look.histories, look.now, bounds)
        if not self._expected.allows(look):
            steps = ()
        self._turns_pending = len(steps) < len(look.plan.acting)
        histories = dict(look.histories)
        # A nursery that dies leaves what is left to the next passes: no mass of spawned ones at once.
        for step in takewhile(lambda _: self.processes.warmth == warmth, steps):
            past = histories.get(step.name, History(boot_id=look.observed.boot_id))
            histories[step.name] = self._performer.perform(step, look.desired, look.observed, past, look.now)
            self._news.append(of_step(step))
        self.processes.begin_all()
        self._records.save(restarts.after_pass(histories, look.plan, look.observed.boot_id, look.now))
        self._news += self._outboxes.tend(look, self.statuses)
        self._publish(replace(look, histories=histories))
        if look.observed.complete:
            self._prune(look, acted=bool(steps))

    def look_pass(self) -> None:
        """A pass that does nothing, so that what runs is known."""
        look = self.look()
        self._records.save(look.histories)
        self._publish(look)

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
        if not self.running:
            self.processes.end_nursery()

    @property
    def running(self) -> set[str]:
        """Names with a live process at the last look."""
        return {n for n, found in self._look.observed.instances.items() if found} if self._look else set()

    def has_news(self, names: Collection[str]) -> bool:
        """Whether the report of any of these says anything but counters that it did not at the last look."""
        seen = self._look.observed.reports if self._look else {}
        reports = self.processes.reports(names)
        return any(name not in seen or seen[name].news != report.news for name, report in reports.items())

    @property
    def look_at(self) -> float | None:
        """Monotonic time of the next look that the last one asked for."""
        if self._look is None:
            return None
        wishes = [*self._whole_looks()]
        if (
            any(s["status"] in ("starting", "stopping") for s in self.statuses.values())
            or self._look.plan.acting
        ):
            wishes.append(self._look.now + (TURN_S if self._turns_pending else SOON_S))
        return min(wishes, default=None)

    @property
    def seen(self) -> bool:
        """Whether the last look found no manifest half-written or just removed."""
        return self._look is not None and self._look.desired.look_at is None

    @property
    def settled(self) -> bool:
        """Whether further passes would wait for people or devices only: converged, or all that is possible done."""
        return bool(self._expected.moved) or (
            self._look is not None and is_settled(self._look, self.document)
        )

    def begin(self, *, force: bool, plan_id: str | None) -> None:
        """Begin to collect what passes do, until :meth:`outcome`; with `force` past the prune guard. With
        `plan_id` the next one acts only if its plan, of settled manifests, is that one.
        """
        self._performer.done = []
        self._force = force
        self._expected = Expectation(plan_id)
        self.reader.refresh(force=force)

    def outcome(self) -> Mapping[str, Any]:
        """What was done since :meth:`begin`, and what stands in the way."""
        self._force = False
        assert self._look is not None
        return outcome(self._look, self.document, self._performer.done, self._expected.moved)

    # --- what people asked for ----------------------------------------------------------------------------------

    @property
    def statuses(self) -> Mapping[str, Mapping[str, Any]]:
        """The status objects of the last pass by name."""
        return self._told.statuses

    def instances(self, name: str) -> tuple[str, ...]:
        """Those of a name that were alive at the last look."""
        found = self._look.observed.instances.get(name, ()) if self._look else ()
        return tuple(i.instance for i in found)

    def release(self, names: Collection[str]) -> None:
        """Let them start again whatever holds them. Raises OSError."""
        histories = self._records.histories
        self._records.save({n: restarts.released(h) if n in names else h for n, h in histories.items()})

    def tell(self, news: News) -> None:
        """Have it among the events at the next pass."""
        self._news.append(news)

    # --- inside ------------------------------------------------------------------------------------------------

    def _whole_looks(self) -> Iterator[float]:
        """Monotonic times that the last look asked to look at everything again."""
        if self._look:
            yield from (at for at in (self._look.desired.look_at, self._look.plan.look_at) if at is not None)

    def _is_due(self, now: float) -> bool:
        return any(at <= now for at in self._whole_looks())

    def _after_ends(
        self, desired: Desired, observed: Observed, now: float, wall: float
    ) -> dict[str, History]:
        """What is remembered once the ends of this look are told."""
        ready = {n for n, s in self.statuses.items() if s["last_error"] is None} if self._look else ()
        jitters = {end.name: random.uniform(-1, 1) for end in observed.ended}
        histories = restarts.after_ends(
            self._records.histories, desired, observed, ready, now=now, wall=wall, jitters=jitters
        )
        for end in observed.ended:
            next_start = histories[end.name].next_start
            told = of_end(end, next_start - now if next_start else None)
            self._news.append(told)
            if self._pid:
                logger.info("%s: %s", end.name, told.message)
        return histories

    def _prune(self, look: Look, *, acted: bool) -> None:
        """Remove what nothing refers to any more; in the first pass also what one that was killed had left."""
        if acted or look.observed.ended or not self._pruned:
            wanted = {(m.name, m.digest) for m in look.desired.manifests.values()}
            self.processes.prune(
                wanted | {(n, h.digest) for n, h in self._records.histories.items() if h.digest}
            )
            self._pruned = True
        self.reader.prune(frozenset(a.spec.directory for a in look.observed.applied.values()))

    def _publish(self, look: Look) -> None:
        wall = time.time()
        self._look = look
        self.document = self.describe(look)
        if self.document["converged"] != self._before.get("converged"):
            logger.info("%s", headline(self.document, len(self.running)))
        self.overrides.forget_past({name: self.instances(name) for name in self.overrides.restarts}, wall)
        self.events.append([*self._news, *of_passes(self._before, self.document)], wall)
        self._news.clear()
        self._before = self.document
        self.publisher.publish(
            self.document, look.now, plan=look.plan, desired=look.desired, histories=look.histories
        )
