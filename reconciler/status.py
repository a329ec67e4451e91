"""What people see of each name: the status object, the summary over all, and the document around them.

`health` is the first word people read: paused, stopped (and wanted so), down (not Ready), degraded (Ready,
not Healthy), healthy. Whoever does not run keeps the devices of its last report, and its
points as the senders that go on count them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import reduce
from operator import add
from typing import Any

from collectors.contract import BufferReport, DeviceReport, Quarantined, parse_duration
from reconciler.conditions import Subject, conditions, ready
from reconciler.model import (
    Desired,
    History,
    Instance,
    Manifest,
    Node,
    Observed,
    Pause,
    Points,
    Report,
    Source,
    Step,
    Termination,
)

MIB = 1024 * 1024
DEFAULT_INTERVAL = "5s"

Status = Mapping[str, Any]


def process_status(
    step: Step,
    desired: Desired,
    observed: Observed,
    history: History,
    *,
    node: Node,
    now: float,
    wall: float,
    pause: Pause | None = None,
    previous: Status | None = None,
    config_file: str | None = None,
) -> dict[str, Any]:
    """The status object of the name a step is about; `pause` the one in force,
    `previous` the status of the pass before.
    """
    manifest, wanted = step.manifest, desired.manifests.get(step.name)
    instance = shown(observed.instances.get(step.name, ()), step)
    report = observed.reports.get(step.name)
    subject = Subject(step, manifest, instance, report, desired, observed, history, now, pause)
    is_ready = ready(subject).holds
    found = conditions(subject, wall, (previous or {}).get("conditions", ()))
    alive = instance is not None
    figures = counters(step.name, instance, observed, now)
    last = history.terminations[-1] if history.terminations else None
    return {
        "name": step.name,
        "kind": step.kind,
        "type": manifest.type if manifest else "unknown",
        "title": manifest.title if manifest else None,
        "labels": dict(manifest.labels) if manifest else {},
        "status": _word(step, instance, history, is_ready),
        "health": "paused" if pause else _health(step, alive, found),
        "pid": instance.leader.pid if instance and instance.leader else None,
        "cpu_percent": figures["cpu_percent"],
        "memory_mb": figures["memory_mb"],
        "start_time": instance.started_at if instance else None,
        "uptime_s": figures["uptime_s"],
        "restart_count": history.restart_count,
        "last_error": None if is_ready else history.last_error,
        "desired_state": "running" if wanted and wanted.running else "stopped",
        "digest": manifest.digest if manifest else None,
        "applied_revision": desired.source.applied,
        "next_restart_at": None if alive or step.reason != "BackOff" else history.next_start_at,
        "command": list(instance.command) if instance else [],
        "config_file": config_file,
        "manifest": {"path": wanted.path, "line": wanted.line} if wanted else None,
        "interval_s": _interval_s(manifest),
        "sinks": list(desired.sinks_of(manifest)) if manifest else [],
        "node": node.name,
        "conditions": found,
        "last_termination": _termination(last) if last else None,
        "devices": figures["devices"],
        "points": figures["points"],
        "points_per_second": figures["points_per_second"],
        "buffer": figures["buffer"],
    }


def counters(name: str, instance: Instance | None, observed: Observed, now: float) -> dict[str, Any]:
    """The part of a status object that grows by itself; `devices` whole, for most of it does."""
    report = observed.reports.get(name)
    return {
        "cpu_percent": round(instance.cpu_percent, 2) if instance else 0.0,
        "memory_mb": round(instance.memory_bytes / MIB, 2) if instance else 0.0,
        "uptime_s": uptime_s(instance, now),
        "devices": [_device(d) for d in report.devices] if report else [],
        "points": _plain(reduce(add, _points(name, observed.reports), Points())),
        "points_per_second": round(report.points_per_second, 2) if report and instance else 0.0,
        "buffer": _plain(report.buffer) if report and report.buffer else None,
    }


def summary(
    statuses: Sequence[Status], desired: Desired, observed: Observed, *, converged: bool
) -> dict[str, Any]:
    """Figures over all Collectors."""
    collectors = [s for s in statuses if s["kind"] == "Collector"]
    reports = [observed.reports[s["name"]] for s in collectors if s["name"] in observed.reports]
    live = [r for r in reports if observed.instances.get(r.name)]
    running = [s for s in collectors if s["pid"] is not None]

    words = Counter(s["status"] for s in collectors)
    return {
        "total_processes": len(collectors),
        "running_processes": words["running"],
        "stopped_processes": words["stopped"],
        "error_processes": words["error"] + words["crashed"],
        "degraded_processes": sum(s["health"] == "degraded" for s in collectors),
        "disconnected_devices": sum(not d["connected"] for s in running for d in s["devices"]),
        "stale_tags": sum(r.stale_tags for r in live),
        "avg_cpu_usage": round(sum(s["cpu_percent"] for s in running) / len(running), 2) if running else 0.0,
        "memory_mb": round(sum(s["memory_mb"] for s in collectors), 2),
        "points_per_second": round(sum(r.points_per_second for r in live), 2),
        "queued_points": sum(s["points"]["queued"] for s in collectors),
        "revision": desired.source.applied,
        "converged": converged,
    }


def is_converged(steps: Sequence[Step], statuses: Sequence[Status], desired: Desired) -> bool:
    """Whether the plant is as the manifests say.

    All manifests were read, none is wrong, and every name either runs its wanted digest and is Ready,
    or is wanted stopped (or has completed) and is stopped. Paused, draining, held and waiting names are not.
    """
    if desired.errors or desired.unread or desired.unconfirmed:
        return False
    return all(
        step.verdict == "stopped" or (step.verdict == "keep" and _holds(status, "Ready"))
        for step, status in zip(steps, statuses, strict=True)
    )


def status_document(
    statuses: Sequence[Status],
    summary: Mapping[str, Any],
    source: Source,
    *,
    pid: int | None,
    started_at: float | None,
    heartbeat_at: float,
    version: str,
    node: Node,
    converged: bool,
) -> dict[str, Any]:
    """The whole of status.json; `pid` is None where no loop runs."""
    loop = {"pid": pid, "started_at": started_at, "heartbeat_at": heartbeat_at, "version": version}
    return {
        "reconciler": {**loop, "node": node.name},
        "source": asdict(source),
        "converged": converged,
        "summary": dict(summary),
        "processes": list(statuses),
    }


def terminations(history: History) -> list[dict[str, Any]]:
    """How the last processes of a name ended, newest first: as `last_termination`, with what its run left."""
    return [
        {**_termination(end), "lived_s": end.lived_s, "tail": end.tail}
        for end in reversed(history.terminations)
    ]


def shown(instances: Sequence[Instance], step: Step) -> Instance | None:
    """The instance that matters: not stopping before stopping, the wanted digest before others."""
    if len(instances) == 1:
        return instances[0]
    return min(
        instances, key=lambda i: (i.stopping is not None, i.digest != step.digest, i.started), default=None
    )


def uptime_s(instance: Instance | None, now: float) -> float | None:
    """Seconds that it has run; `now` is monotonic."""
    return round(max(0.0, now - instance.started), 3) if instance else None


def _points(name: str, reports: Mapping[str, Report]) -> Iterator[Points]:
    """By sink or collector, from its own report, or from a sender that spoke later: senders outlive collectors."""
    own = reports.get(name)
    for peer, points in own.points.items() if own else ():
        other = reports.get(peer)
        yield other.points.get(name, points) if own and other and other.later_than(own) else points


def _word(step: Step, instance: Instance | None, history: History, is_ready: bool) -> str:
    if instance:
        if instance.stopping or step.action in ("stop", "kill"):
            return "stopping"
        return "running" if is_ready or step.digest != instance.digest else "starting"
    if step.verdict == "start":
        return "starting"
    if step.verdict == "hold":
        return "error"
    return "crashed" if step.reason == "BackOff" else "stopped"


def _health(step: Step, alive: bool, found: Sequence[Mapping[str, Any]]) -> str:
    if not alive and step.verdict == "stopped":
        return "stopped"
    status = {"conditions": found}
    if not _holds(status, "Ready"):
        return "down"
    return "healthy" if _holds(status, "Healthy") else "degraded"


def _holds(status: Status, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status["conditions"])


def _interval_s(manifest: Manifest | None) -> float | None:
    if manifest is None or manifest.kind == "Sink" or manifest.type == "exec":
        return None
    return parse_duration(str(manifest.spec.get("interval", DEFAULT_INTERVAL)))


def _termination(end: Termination) -> dict[str, Any]:
    if end.stopped:
        reason = "Stopped"
    elif end.exit_code is None and end.signal is None:
        reason = "Unobserved"
    elif end.signal is not None:
        reason = "Signal"
    else:
        reason = "Exited"
    return {
        "exit_code": end.exit_code,
        "signal": end.signal,
        "reason": reason,
        "at": end.at,
        "observed_by": end.observed_by,
    }


def _device(device: DeviceReport) -> dict[str, Any]:
    return {**_plain(device), "quarantined": [_plain(q) for q in device.quarantined]}


def _plain(value: DeviceReport | Quarantined | Points | BufferReport) -> dict[str, Any]:
    """As asdict(), which copies what is inside, and takes ten times as long."""
    return {name: getattr(value, name) for name in value.__slots__}
