"""Status objects, made anew only where something that they tell of has changed. Pure.

Most passes find nearly every name as it was, and making its object is most of what a pass costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reconciler.conditions import Subject, buffer_left, ready
from reconciler.model import Desired, History, Instance, Node, Observed, Pause, Report, Step
from reconciler.status import Status, counters, process_status, shown, uptime_s


@dataclass(frozen=True, slots=True)
class Described:
    """A status object beside all that it was made of, the time apart: `basis` with counters, `lasting` without.

    `peers` are the other ends of its data.
    """

    basis: tuple[object, ...]
    lasting: tuple[object, ...]
    peers: tuple[str, ...]
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

    Made of equal things it holds the very values of the one before, but for the time that the process is up; where only
    counters differ, but for these.
    """
    instance = shown(observed.instances.get(step.name, ()), step)
    report = observed.reports.get(step.name)
    is_ready = instance and ready(  # all that time alone can change
        Subject(step, step.manifest, instance, report, desired, observed, history, now, pause)
    )
    wanted = desired.manifests.get(step.name)
    around = (
        *(is_ready, history, pause, node, observed.writable, "default" in desired.manifests),
        *(wanted, desired.broken.get(step.name), desired.source.applied),
    )
    if before and before.basis[:2] == (step, report) and before.basis[2] == around:
        peers = before.peers
    else:
        peers = tuple(_peers(step, desired, report))
    others = [(observed.reports.get(peer), bool(observed.instances.get(peer))) for peer in peers]
    basis = (step, report, around, others, instance, _measured(instance))
    if before and before.basis == basis:
        if instance is None:
            return before
        status = {**before.status, "uptime_s": uptime_s(instance, now)}
        return Described(before.basis, before.lasting, peers, status)
    lasting = (
        *(_told(step), _identity(instance), _news(report), around),
        *(peers, [(_news(report), alive) for report, alive in others]),
    )
    if before and before.lasting == lasting:
        status = {**before.status, **counters(step.name, instance, observed, now)}
        return Described(basis, lasting, peers, status)
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
    return Described(basis, lasting, peers, status)


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
    return instance and (instance.cpu_percent, instance.memory_bytes)


def _news(report: Report | None) -> object:
    return report and (report.boot_id, report.news, buffer_left(report))
