"""Status objects, made anew only where something that they tell of has changed. Pure.

Most passes find nearly every name as it was, and making its object is most of what a pass costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from reconciler.case import pause_in_force
from reconciler.conditions import Subject, buffer_left, ready
from reconciler.model import Desired, History, Instance, Node, Observed, Pause, Plan, Report, Rest, Step
from reconciler.status import Status, counters, process_status, shown, uptime_s
from reconciler.touched import touched

NO_HISTORY = History()


@dataclass(frozen=True, slots=True)
class Described:
    """A status object beside all that it was made of, the time apart: `basis` with counters, `lasting` without.

    `peers` are the other ends of its data, `instance` the one that is shown.
    """

    basis: tuple[object, ...]
    lasting: tuple[object, ...]
    peers: tuple[str, ...]
    instance: Instance | None
    status: Status

    def older(self, now: float) -> Described:
        """The same at another time."""
        if self.instance is None:
            return self
        status = {**self.status, "uptime_s": uptime_s(self.instance, now)}
        return Described(self.basis, self.lasting, self.peers, self.instance, status)


class Descriptions:
    """The status objects of all names by name, pass after pass; `statuses` are first those of a reconciler before."""

    def __init__(self, node: Node, statuses: Mapping[str, Status]) -> None:
        self.statuses = statuses
        self._node = node
        self._described: Mapping[str, Described] = {}
        self._last: tuple[Plan, Desired, Observed, Mapping[str, History]] | None = None

    def update(
        self,
        plan: Plan,
        desired: Desired,
        observed: Observed,
        histories: Mapping[str, History],
        *,
        now: float,
        wall: float,
        pauses: Mapping[str, Pause],
    ) -> None:
        """Describe what a pass has seen and decided; `now` is monotonic, `wall` epoch seconds.

        Whoever rests as before, and of whom and of whose peers nothing has been touched, is as it was but older.
        """
        rested, closely = self._since(desired, observed, histories)
        described = {}
        for step in plan.steps:
            name = step.name
            before, rest = self._described.get(name), rested.get(name)
            if before and rest and rest is plan.rests.get(name) and closely.isdisjoint((name, *before.peers)):
                described[name] = before.older(now)
                continue
            described[name] = describe(
                step,
                desired,
                observed,
                histories.get(name, NO_HISTORY),
                node=self._node,
                now=now,
                wall=wall,
                pause=pause_in_force(pauses.get(name), wall),
                before=before,
                previous=self.statuses.get(name),
            )
        self._described, self._last = described, (plan, desired, observed, histories)
        self.statuses = {name: found.status for name, found in described.items()}

    def _since(
        self, desired: Desired, observed: Observed, histories: Mapping[str, History]
    ) -> tuple[Mapping[str, Rest], set[str]]:
        """The rests of the last pass, none where something that all names tell of is another; and who was touched."""
        if self._last is None:
            return {}, set()
        plan, wanted, seen, known = self._last
        if wanted.source.applied != desired.source.applied:
            return {}, set()
        return plan.rests, touched(
            (seen.instances, seen.reports, wanted.broken, known),
            (observed.instances, observed.reports, desired.broken, histories),
        )


def describe(
    step: Step,
    desired: Desired,
    observed: Observed,
    history: History,
    *,
    node: Node,
    now: float,
    wall: float,
    pause: Pause | None = None,
    before: Described | None = None,
    previous: Status | None = None,
) -> Described:
    """As :func:`process_status`; `before` is of the pass before, `previous` a status object of a reconciler before.

    Made of equal things it holds the very values of the one before, but for the time that the process is up; where only
    counters differ, but for these.
    """
    instance = shown(observed.instances.get(step.name, ()), step)
    report = observed.reports.get(step.name)
    is_ready = instance and ready(  # all that time alone can change
        Subject(step, step.manifest, instance, report, desired, observed, history, now, pause)
    )
    wanted = desired.manifests.get(step.name)
    peers = tuple(_peers(step, desired, report))
    around = (
        *(is_ready, history, pause, node, observed.writable, peers),
        *(wanted, desired.broken.get(step.name), desired.source.applied),
    )
    others = [(observed.reports.get(peer), bool(observed.instances.get(peer))) for peer in peers]
    basis = (step, report, around, others, instance, _measured(instance))
    if before and before.basis == basis:
        return before.older(now)
    lasting = (
        *(_told(step), _identity(instance), _news(report), around),
        [(_news(report), alive) for report, alive in others],
    )
    if before and before.lasting == lasting:
        status = {**before.status, **counters(step.name, instance, observed, now)}
        return Described(basis, lasting, peers, instance, status)
    status = process_status(
        step,
        desired,
        observed,
        history,
        node=node,
        now=now,
        wall=wall,
        pause=pause,
        previous=before.status if before else previous,
    )
    return Described(basis, lasting, peers, instance, status)


def _peers(step: Step, desired: Desired, report: Report | None) -> Iterator[str]:
    """The other ends of its data, as far as they are told of."""
    if report:
        yield from report.points
    if step.manifest:
        yield from desired.sinks_of(step.manifest)


def _told(step: Step) -> tuple[object, ...]:
    return step.kind, step.action, step.verdict, step.reason, step.message, step.manifest


def _identity(instance: Instance | None) -> tuple[object, ...] | None:
    if instance is None:
        return None
    return instance.instance, instance.digest, instance.leader, instance.command, instance.stopping


def _measured(instance: Instance | None) -> tuple[float, int] | None:
    return (instance.cpu_percent, instance.memory_bytes) if instance else None


def _news(report: Report | None) -> object:
    return report and (report.boot_id, report.news, buffer_left(report))
