"""What a pass changed that a person at night wants to know, as events. Pure.

An event is told where something begins or ends, never while it lasts; a new reconciler compares with what the
one before it published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.model import Action, Step, Termination
from reconciler.restarts import how

Status = Mapping[str, Any]

TOLD = {
    "Stalled": ("Held", "Released"),
    "ManifestInvalid": ("ManifestBroken", "ManifestMended"),
    "DataHeld": ("DataHeld", "DataFlows"),
    "Paused": ("Paused", "Resumed"),
    "PruneBlocked": ("PruneBlocked", "PruneUnblocked"),
    "LockHeld": ("LockHeld", "LockFree"),
    "StaleTags": ("TagsStale", "TagsFresh"),
    "DataDropped": ("DataDropped", "DataKept"),
    "DataRejected": ("DataRejected", "DataTaken"),
    "DiskFull": ("DiskFull", "DiskFree"),
    "OutboxDamaged": ("OutboxDamaged", "OutboxMended"),
    "ClockBehind": ("ClockBehind", "ClockCaughtUp"),
}
"""By condition type, or by the reason of DataHeld or not Healthy: the event of its beginning and of its end."""
DONE = {
    Action.START: "Started",
    Action.STOP: "Stopping",
    Action.KILL: "Killed",
    Action.UPDATE: "Updated",
}


@dataclass(frozen=True, slots=True)
class News:
    """One event before it has a number; `name` is None where it concerns the whole plant."""

    reason: str
    message: str
    name: str | None = None


def loop_started(version: str, pid: int, before: Mapping[str, Any] | None) -> News:
    """A loop takes over; `before` is the event by which the one before it began or ended."""
    killed = "; the one before it was killed" if before and before["reason"] == "LoopStarted" else ""
    return News("LoopStarted", f"daq run {version} (pid {pid}) takes over{killed}")


def of_clock(step_s: float) -> News:
    """Somebody set the wall clock."""
    return News(
        "ClockSet",
        f"the clock was set by {step_s:+.1f} s: slots of collectors are counted anew, pauses end by the new time",
    )


def of_end(end: Termination, next_start_s: float | None) -> News:
    """How an instance ended, the last line it wrote, and when it starts again."""
    last = end.tail.strip().rpartition("\n")[2]
    told = f": {last}" if last and end.stopped is None else ""
    after = f"; next start in {next_start_s:.1f} s" if next_start_s is not None else ""
    return News("Ended", f"{how(end)}{after}{told}", end.name)


def of_step(step: Step) -> News:
    """A step that was carried out."""
    return News(DONE[step.action], f"{step.message} ({step.reason})", step.name)


def of_passes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[News]:
    """What differs between two documents of status.json; `before` may be empty."""
    known = {s["name"]: s for s in before.get("processes", ())}
    for status in after["processes"]:
        was = known.get(status["name"], {})
        if was is not status:
            yield from _of_name(was, status)
    yield from _of_source(before.get("source", {}), after["source"])
    if before.get("converged", False) != after["converged"]:
        reason = "Converged" if after["converged"] else "NotConverged"
        yield News(
            reason, "the plant is as the manifests say" if after["converged"] else _why(after["processes"])
        )


def _of_name(before: Status, after: Status) -> Iterator[News]:
    if before and all(after[key] is before.get(key) for key in ("conditions", "devices", "pid")):
        return
    name = after["name"]
    was, now = _holding(before), _holding(after)
    for kind, (begun, over) in TOLD.items():
        if kind in now and kind not in was:
            yield News(begun, now[kind]["message"], name)
        elif kind in was and kind not in now:
            yield News(over, f"no longer: {was[kind]['message']}", name)
    if "Ready" in now and "Ready" not in was:
        yield News("Ready", now["Ready"]["message"], name)
    if after["pid"] is None or after["pid"] != before.get("pid"):
        return  # a process that has just begun has lost nothing
    connected = {d["name"]: d["connected"] for d in before["devices"]}
    for device in after["devices"]:
        if device["connected"] == connected.get(device["name"], device["connected"]):
            continue
        where = f"{device['name']} ({device['endpoint']})"
        if device["connected"]:
            yield News("DeviceBack", f"{where} answers", name)
        else:
            yield News("DeviceLost", f"{where}: {device['last_error'] or 'not connected'}", name)


def _holding(status: Status) -> dict[str, Mapping[str, Any]]:
    """Conditions that are True by type, and those that tell of trouble by their reason."""
    found = status.get("conditions", ())
    reasons = {
        c.get("reason", ""): c
        for c in found
        if (c["type"], c["status"]) in (("DataHeld", "True"), ("Healthy", "False"))
    }
    return {**reasons, **{c["type"]: c for c in found if c["status"] == "True"}}


def _of_source(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[News]:
    if after["applied"] and after["applied"] != before.get("applied"):
        yield News("RevisionApplied", f"manifests of {after['applied']}")
    if after["error"] and after["error"] != before.get("error"):
        yield News("SourceError", after["error"])
    elif before.get("error") and not after["error"]:
        yield News("SourceMended", "all manifests are read and valid")


def _why(statuses: Sequence[Status]) -> str:
    away = [s["name"] for s in statuses if s["health"] in ("down", "paused")]
    return f"waiting for {', '.join(away)}" if away else "the manifests or what runs changed"
