"""The conditions of a name: Ready and Healthy always, others only while they hold, `since` kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.case import EXEC_READY_S, own_report
from reconciler.model import Desired, History, Instance, Manifest, Observed, Pause, Report, Step


@dataclass(frozen=True, slots=True)
class Subject:
    """What conditions are read off."""

    step: Step
    manifest: Manifest | None
    instance: Instance | None
    report: Report | None
    desired: Desired
    observed: Observed
    history: History
    now: float
    pause: Pause | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition without its time."""

    type: str
    holds: bool
    reason: str
    message: str


def conditions(subject: Subject, wall: float, previous: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All conditions as JSON; `since` is kept from `previous` while type and status are the same."""
    before = {(c["type"], c["status"]): c["since"] for c in previous}
    found = [ready(subject), healthy(subject), *_others(subject)]
    return [
        {
            "type": f.type,
            "status": str(f.holds),
            "reason": f.reason,
            "message": f.message,
            "since": before.get((f.type, str(f.holds)), wall),
        }
        for f in found
    ]


def ready(subject: Subject) -> Finding:
    """The wanted digest runs, reports in time and tried one full cycle (exec: lived 1 s)."""
    step, instance, manifest = subject.step, subject.instance, subject.manifest
    if instance is None or manifest is None or instance.digest != manifest.digest or instance.stopping:
        return Finding("Ready", False, step.reason, step.message)
    if step.action in ("stop", "kill"):
        return Finding("Ready", False, step.reason, step.message)
    if manifest.type == "exec":
        lived = subject.now - instance.started >= EXEC_READY_S
        return Finding(
            "Ready", lived, "Running" if lived else "Starting", "runs" if lived else "just started"
        )
    report = own_report(subject.report, instance, subject.observed.boot_id)
    if report is None or not report.cycled:
        return Finding("Ready", False, "Starting", "has not completed a first cycle yet")
    silent_s = subject.now - report.monotonic_s
    if silent_s > manifest.health.stale_after_s and subject.observed.writable:
        return Finding("Ready", False, "ReportStale", f"has not reported for {silent_s:.0f} s")
    if manifest.kind == "Sink":
        return Finding("Ready", True, "Sending", "sends what is queued")
    return Finding("Ready", True, "Collecting", "reads its devices")


def healthy(subject: Subject) -> Finding:
    """Ready, every device connected, no tag stale, every sink accepting; or wanted stopped, and stopped."""
    if subject.instance is None and subject.step.verdict == "stopped":
        return Finding("Healthy", True, subject.step.reason, subject.step.message)
    is_ready = ready(subject)
    if not is_ready.holds:
        return Finding("Healthy", False, is_ready.reason, is_ready.message)
    kinds = (_told, _disconnected, _data_held, _stale)
    wrong = next((finding for kind in kinds for finding in kind(subject)), None)
    if wrong:
        return Finding("Healthy", False, wrong.reason, wrong.message)
    return Finding("Healthy", True, "AllGood", "everything it needs answers")


def _others(subject: Subject) -> Iterator[Finding]:
    step = subject.step
    if step.action != "none" or step.verdict == "wait":
        yield Finding("Reconciling", True, step.reason, step.message)
    if step.verdict == "hold" and step.reason != "LockHeld":
        yield Finding("Stalled", True, step.reason, step.message)
    if error := subject.desired.broken.get(step.name):
        yield Finding("ManifestInvalid", True, "ManifestInvalid", str(error))
    yield from _disconnected(subject)
    yield from _data_held(subject)
    if subject.pause:
        yield Finding("Paused", True, "Paused", subject.pause.sentence)
    if step.verdict == "blocked":
        yield Finding("PruneBlocked", True, step.reason, step.message)
    if subject.report and subject.instance:
        for kind, trouble in sorted(subject.report.troubles.items()):
            if kind not in ("DataHeld", "Healthy"):  # told with the rest of these
                yield Finding(kind, True, trouble.reason, trouble.message)
    if step.reason == "LockHeld":
        yield Finding("LockHeld", True, step.reason, step.message)


def _disconnected(subject: Subject) -> Iterator[Finding]:
    away = (
        [d for d in subject.report.devices if not d.connected] if subject.report and subject.instance else []
    )
    if away:
        message = "; ".join(f"{d.name} ({d.endpoint}): {d.last_error or 'not connected yet'}" for d in away)
        yield Finding("DeviceDisconnected", True, "DeviceDisconnected", message)


def _told(subject: Subject) -> Iterator[Finding]:
    """What is wrong that no condition of its own is for."""
    if not subject.observed.writable and subject.instance:
        message = (
            "the state directory cannot be written: its disk is full, or read-only. Readings are kept in memory up to"
            " a limit, nothing is restarted for want of a report; free some space"
        )
        yield Finding("Healthy", False, "DiskFull", message)
    told = subject.report.troubles.get("Healthy") if subject.report else None
    if told:
        yield Finding("Healthy", False, told.reason, told.message)


def _data_held(subject: Subject) -> Iterator[Finding]:
    """A sink that does not accept holds the data of its own sender and of every collector writing to it.

    So does an outbox that cannot be written; one that is full drops the oldest. A sender that is kept elsewhere
    may be out of sight, and holds its lock.
    """
    told = subject.report.troubles.get("DataHeld") if subject.report and subject.instance else None
    left = buffer_left(subject.report)
    if told:
        yield Finding("DataHeld", True, told.reason, told.message)
        return
    names = [subject.step.name]
    if subject.manifest and subject.manifest.kind == "Collector":
        names = list(subject.desired.sinks_of(subject.manifest))
    for name in names:
        report = subject.observed.reports.get(name)
        alive = name in subject.observed.holders or bool(subject.observed.instances.get(name))
        if not alive and subject.instance:
            yield Finding("DataHeld", True, "SinkNotRunning", f"sink {name}: its sender does not run{left}")
            return
        if alive and report and report.held:
            yield Finding("DataHeld", True, report.held.reason, f"sink {name}: {report.held.message}{left}")
            return


def buffer_left(report: Report | None) -> str:
    """How long the rest of the buffer will do, roughly enough to stay the same sentence for a while."""
    if report is None or report.buffer is None:
        return ""
    hours, minutes = divmod(int(report.buffer.covers_s // 600) * 10, 60)
    span = f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} days"
    return f"; {span} of buffer left" if hours or minutes else "; less than 10 min of buffer left"


def _stale(subject: Subject) -> Iterator[Finding]:
    if subject.report and subject.report.stale_tags:
        yield Finding("StaleTags", True, "StaleTags", f"{subject.report.stale_tags} tags have no fresh value")
