"""Status objects as a table and the sentences below it. Nothing is read here."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from collectors.contract import REPORT_EVERY_S
from reconciler.cli.text import columns, duration, painted, sparkline, table
from reconciler.words import Language, explain

Status = Mapping[str, Any]

HEADER = ("HEALTH", "NAME", "STATUS", "REASON", "DEVICES", "READ", "RESTARTS", "QUEUED")
FRESH_S = REPORT_EVERY_S + 5
"""A collector reports every so often, and a pass looks after it."""
USUAL = ("Ready", "Healthy")
"""Conditions that are always there, and good when True."""
WIDE = ("TYPE", "BUFFER", "COVERS", "DROPPED", "PID", "CPU %", "MEM MB", "UPTIME", "DIGEST", "MANIFEST")
LIVE = ("HEALTH", "NAME", "STATUS", "REASON", "DEVICES", "QUEUED", "POINTS/S", "CPU %")
"""What moves; --watch shows it instead."""

WAITS_FOR_A_LOOP = ("New", "NotRunning", "BackOff", "DigestChanged")
UNLED: Mapping[Language, str] = {
    "en": "nothing is started while no loop runs: daq run, or once: daq apply",
    "zh": "控制循环未运行，不会启动任何进程：请运行 daq run，或执行一次 daq apply",
}

Course = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""By name: the last points a second and the last CPU percents, oldest first."""


def heading(root: object, document: Mapping[str, Any]) -> str:
    """Where, converged or not, which revision, and whether a loop is alive."""
    reconciler, source = document["reconciler"], document["source"]
    if reconciler["pid"] is None:
        loop = "no loop is running (collectors go on without it); seen just now"
    else:
        loop = f"loop {reconciler['pid']}, seen {duration(time.time() - reconciler['heartbeat_at'])} ago"
    applied = (source["applied"] or "no revision")[:12]
    if source["dirty"]:
        applied += " and uncommitted changes"
    state = "converged" if document["converged"] else "not converged"
    return f"{root} on {reconciler['node']}: {state}, {applied}; {loop}"


def status_table(processes: Sequence[Status], *, wide: bool = False, course: Course | None = None) -> str:
    """A row for each, the word for its health first."""
    cells = [_cells(p, *(course or {}).get(p["name"], ((), ()))) for p in processes]
    header = tuple(dict.fromkeys((LIVE if course else HEADER) + (WIDE if wide else ())))
    return painted(table(header, [[c[h] for h in header] for c in cells], fit=None if wide else columns()))


def fleet_table(processes: Sequence[Status]) -> str:
    """The same with the node of each."""
    header = ("HEALTH", "NODE", *HEADER[1:])
    rows = [[c[h] for h in header] for c in (_cells(p, (), ()) for p in processes)]
    return painted(table(header, rows, fit=columns(), elastic=2))


def remarks(processes: Sequence[Status], document: Mapping[str, Any], language: Language = "en") -> list[str]:
    """A line for everything that wants a person, and one of what to do."""
    lines = []
    if document["source"]["error"]:
        lines.append(document["source"]["error"])
    unled = document["reconciler"]["pid"] is None
    for p in processes:
        if unled and _reason(p) in WAITS_FOR_A_LOOP:
            continue
        found = [c for c in p["conditions"] if c["type"] not in USUAL]
        if p["health"] in ("down", "degraded"):
            found += [c for c in p["conditions"] if c["type"] in USUAL and c["status"] != "True"]
        for reason, message in dict.fromkeys((c["reason"], c["message"]) for c in found):
            lines.append(f"{_name(p)}: {message} ({reason})")
            if todo := explain(reason, language).todo:
                lines.append(f"  {todo}")
    if unled and any(_reason(p) in WAITS_FOR_A_LOOP for p in processes):
        lines.append(UNLED[language])
    return lines


def _cells(p: Status, rates: Sequence[float], loads: Sequence[float]) -> dict[str, str]:
    """All columns there are."""
    devices, manifest, buffer = p["devices"], p["manifest"], p["buffer"]
    read_at = max((d["last_read_at"] or 0 for d in devices), default=0)
    return {
        "HEALTH": p["health"],
        "NODE": p["node"],
        "NAME": _name(p),
        "STATUS": p["status"],
        "REASON": _reason(p),
        "DEVICES": f"{sum(d['connected'] for d in devices)}/{len(devices)}" if devices else "-",
        "READ": _age(time.time() - read_at) if read_at else "-",
        "RESTARTS": str(p["restart_count"]),
        "QUEUED": str(p["points"]["queued"]),
        "POINTS/S": f"{sparkline(rates)} {p['points_per_second']:.0f}",
        "CPU %": f"{sparkline(loads)} {p['cpu_percent']:.1f}".lstrip(),
        "TYPE": p["type"],
        "BUFFER": f"{buffer['bytes'] >> 20}/{buffer['max_bytes'] >> 20} MiB" if buffer else "-",
        "COVERS": duration(buffer["covers_s"]) if buffer else "-",
        "DROPPED": str(p["points"]["dropped"]),
        "PID": str(p["pid"] or "-"),
        "MEM MB": f"{p['memory_mb']:.1f}",
        "UPTIME": duration(p["uptime_s"]),
        "DIGEST": p["digest"] or "-",
        "MANIFEST": f"{manifest['path']}:{manifest['line']}" if manifest and manifest["path"] else "-",
    }


def _age(seconds: float) -> str:
    """What is younger than a report can be is as fresh as anybody knows."""
    return "now" if seconds < FRESH_S else f"{duration(seconds)} ago"


def _name(p: Status) -> str:
    return f"{p['name']} {p['title']}" if p["title"] else str(p["name"])


def _reason(process: Status) -> str:
    """The reason of the condition that keeps it from health, else of Ready."""
    by_type = {c["type"]: c for c in process["conditions"]}
    for kind in USUAL:
        if by_type[kind]["status"] != "True":
            return str(by_type[kind]["reason"])
    return str(by_type["Ready"]["reason"])
