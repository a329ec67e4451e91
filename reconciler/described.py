"""Status objects, made anew only where something that they tell of has changed. Pure.

Most passes find nearly every name as it was, and making its object is most of what a pass costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.conditions import Subject, ready
from reconciler.model import Desired, History, Node, Observed, Pause, Step
from reconciler.status import Status, process_status, shown, uptime_s


@dataclass(frozen=True, slots=True)
class Described:
    """A status object beside all that it was made of, the time apart."""

    basis: tuple[object, ...]
    status: Status


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

    Made of equal things it holds the very values of the one before, but for the time that the process is up.
    """
    instance = shown(observed.instances.get(step.name, ()), step)
    report = observed.reports.get(step.name)
    subject = Subject(step, step.manifest, instance, report, desired, observed, history, now, pause)
    basis = (
        ready(subject),  # all that time alone can change
        *(step, instance, report, history, pause, node),
        *(desired.manifests.get(step.name), desired.broken.get(step.name), desired.source.applied),
        *(observed.writable, *_peers(step, desired, observed)),
    )
    if before and before.basis == basis:
        return Described(before.basis, {**before.status, "uptime_s": uptime_s(instance, now)})
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
    return Described(basis, status)


def _peers(step: Step, desired: Desired, observed: Observed) -> Iterator[object]:
    """The other ends of its data, as far as they are told of."""
    report = observed.reports.get(step.name)
    sinks = desired.sinks_of(step.manifest) if step.manifest else ()
    for peer in (*(report.points if report else ()), *sinks):
        yield from (peer, observed.reports.get(peer), bool(observed.instances.get(peer)))
