"""One name as the planner's questions see it, and what they read off it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

from reconciler.model import (
    Action,
    Desired,
    History,
    Instance,
    Kind,
    Manifest,
    Node,
    Observed,
    Pause,
    Report,
    Step,
)

EXEC_READY_S = 1.0


@dataclass(frozen=True)
class Case:
    """All that is known of one name.

    `manifest` of a removed name is what it ran with last. `unwanted`: why there should be no process, a reason and
    a sentence; `refused`, `owed`: why it runs on nevertheless. `elsewhere`: somebody else keeps it. `replaced` are
    instances to be restarted.
    """

    name: str
    manifest: Manifest | None
    unwanted: tuple[str, str] | None
    desired: Desired
    observed: Observed
    history: History
    pause: Pause | None
    replaced: Collection[str]
    refused: str | None
    owed: str | None
    elsewhere: bool
    fingerprint: str
    leaving: bool
    now: float
    wall: float
    passes_since: float

    @cached_property
    def instances(self) -> tuple[Instance, ...]:
        """Everything of that name that is alive."""
        return self.observed.instances.get(self.name, ())

    @cached_property
    def calm(self) -> tuple[Instance, ...]:
        """The instances that nobody asked to stop."""
        return tuple(i for i in self.instances if i.stopping is None)

    @cached_property
    def right(self) -> Instance | None:
        """The one to keep: of the wanted digest, led, the oldest."""
        fit = [i for i in self.calm if self.manifest and i.digest == self.manifest.digest and i.leader]
        return min(fit, key=lambda i: (i.started, i.instance), default=None)

    def step(self, action: Action, verdict: str, reason: str, message: str, **more: Any) -> Step:
        """A step about this name."""
        kind: Kind = self.manifest.kind if self.manifest else "Collector"
        return Step(self.name, kind, action, verdict, reason, message, self.manifest, **more)

    def rest(self, verdict: str, reason: str, message: str, **more: Any) -> Step:
        """A step that does nothing and says why."""
        return self.step(Action.NONE, verdict, reason, message, **more)


def selects(manifest: Manifest, node: Node) -> bool:
    """Whether the manifest runs on this node."""
    selector = manifest.node_selector
    return not selector or all(node.labels.get(key) == value for key, value in selector.items())


def pause_in_force(pause: Pause | None, wall: float) -> Pause | None:
    """The pause, unless it has run out; `wall` is epoch seconds."""
    return pause if pause and wall < pause.until_at else None


def own_report(report: Report | None, instance: Instance, boot_id: str) -> Report | None:
    """The report, if this very instance wrote it in this boot."""
    fits = report and report.instance == instance.instance and report.boot_id == boot_id
    return report if fits else None


def trouble(case: Case, instance: Instance, manifest: Manifest) -> tuple[str, str] | None:
    """Why the right process must be replaced: a reason and a sentence."""
    limit, health = manifest.resources.memory_bytes, manifest.health
    if limit is not None and instance.memory_bytes > limit:
        return "MemoryLimit", f"uses {instance.memory_bytes} bytes of memory, {limit} are allowed"
    if manifest.type == "exec":
        return _silence(case, instance, health.log_silence_s)
    if not case.observed.writable:
        return None  # nobody can report; a restart would cost what is kept in memory
    report = own_report(case.observed.reports.get(case.name), instance, case.observed.boot_id)
    waited = case.now - max(instance.started, case.passes_since)
    if not (report and report.cycled) and waited > health.start_timeout_s:
        return "StartTimeout", f"has not completed a cycle within {health.start_timeout_s:g} s"
    if report and case.now - max(report.monotonic_s, case.passes_since) > health.stale_after_s:
        return "ReportStale", f"has not reported for {case.now - report.monotonic_s:.0f} s"
    return None


def _silence(case: Case, instance: Instance, limit_s: float | None) -> tuple[str, str] | None:
    silent_s = case.now - max(instance.wrote, case.passes_since)
    if limit_s is None or silent_s <= limit_s:
        return None
    return "LogSilent", f"has written nothing to its log for {silent_s:.0f} s (health.logSilence)"


def first_sign(case: Case, instance: Instance, manifest: Manifest) -> float | None:
    """When a young process must have shown that it works."""
    if manifest.type == "exec":
        ready = instance.started + EXEC_READY_S
        if ready > case.now or manifest.health.log_silence_s is None:
            return ready if ready > case.now else None
        return max(instance.wrote, case.passes_since) + manifest.health.log_silence_s
    report = own_report(case.observed.reports.get(case.name), instance, case.observed.boot_id)
    if report and report.cycled:
        return None
    return max(instance.started, case.passes_since) + manifest.health.start_timeout_s


def changes_at(case: Case) -> float:
    """The next monotonic time that an answer about this name may change at, should nothing else change."""
    report, manifest, since = case.observed.reports.get(case.name), case.manifest, case.passes_since
    times = [i.stopping.kill_at for i in case.instances if i.stopping]
    if case.history.next_start is not None:
        times.append(case.history.next_start)
    for instance in case.instances if manifest else ():
        assert manifest is not None
        times += [
            instance.started + EXEC_READY_S,
            max(instance.started, since) + manifest.health.start_timeout_s,
        ]
        if manifest.health.log_silence_s is not None:
            times.append(max(instance.wrote, since) + manifest.health.log_silence_s)
        if report:
            times.append(max(report.monotonic_s, since) + manifest.health.stale_after_s)
    return min((t for t in times if t >= case.now), default=inf)


def owed(sink: str, observed: Observed) -> str | None:
    """Why a sink must run although it is not wanted: somebody writes to it, or it has points to deliver."""
    applied, reports = observed.applied, observed.reports
    alive = (name for name, found in observed.instances.items() if found)
    if any(name in applied and sink in applied[name].live.sinks for name in alive):
        return "collectors that run still write to it"
    queued = queued_for(sink, reports)
    return f"delivering {queued} queued points first" if queued else None


def queued_for(sink: str, reports: Mapping[str, Report]) -> int:
    """Points not yet delivered to a sink: of each collector what it or the sender says, whoever spoke last."""
    own = reports.get(sink)
    queued = {name: points.queued for name, points in own.points.items()} if own else {}
    for name, report in reports.items():
        if name != sink and sink in report.points and not (own and own.cycled and own.later_than(report)):
            queued[name] = report.points[sink].queued
    return sum(queued.values())
