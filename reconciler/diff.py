"""A plan as text and as JSON: what a pass would do, and why."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from reconciler.model import Change, Desired, Plan, Step

QUIET = frozenset({"keep", "stopped"})
"""Verdicts of names that are as they should be."""
PENDING = frozenset({"wait", "blocked"})
"""Verdicts that will act without further input, or would if they were let."""


def exit_code(plan: Plan, names: Collection[str] | None = None) -> int:
    """1 if passes will act without further input (waits and blocked stops included), else 0."""
    return int(any(s.action != "none" or s.verdict in PENDING for s in _chosen(plan, names)))


def as_text(plan: Plan, desired: Desired, names: Collection[str] | None = None) -> str:
    """One line per name that is not as it should be, its changes below; ends with a line of counts
    and the plan's id.
    """
    steps = _chosen(plan, names)
    shown = [s for s in steps if s.verdict not in QUIET]
    lines = _table([(s.verdict, s.name, s.reason, s.message) for s in shown], [s.changes for s in shown])
    if plan.refusal:
        lines.append(f"refused: {plan.refusal.message}: {', '.join(plan.refusal.names)}")
    if desired.unread:
        lines.append(desired.unread)
    lines.append(_counts(steps))
    if plan.acting:
        lines.append(f"plan {plan.id}")
    return "\n".join(lines) + "\n"


def as_json(plan: Plan, desired: Desired, names: Collection[str] | None = None) -> dict[str, Any]:
    """The same as an object; every step, the quiet ones too."""
    return {
        "plan": plan.id,
        "steps": [_step(s) for s in _chosen(plan, names)],
        "refusal": asdict(plan.refusal) if plan.refusal else None,
        "errors": [asdict(e) for e in desired.errors],
        "unread": desired.unread,
    }


def _chosen(plan: Plan, names: Collection[str] | None) -> Sequence[Step]:
    return [s for s in plan.steps if not names or s.name in names]


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "kind": step.kind,
        "action": str(step.action),
        "verdict": step.verdict,
        "reason": step.reason,
        "message": step.message,
        "digest": step.digest,
        "pids": [m.pid for i in step.instances for m in i.members],
        "changes": [asdict(c) for c in step.changes],
    }


def _table(rows: Sequence[tuple[str, ...]], changes: Sequence[Sequence[Change]]) -> list[str]:
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(3)]
    lines = []
    for row, found in zip(rows, changes, strict=True):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        lines.append("  ".join([*cells, row[3]]).rstrip())
        lines += [f"    {c.effect:<7}  {c.field}: {_value(c.before)} -> {_value(c.after)}" for c in found]
    return lines


def _value(value: Any) -> str:
    return "(none)" if value is None else json.dumps(value, ensure_ascii=False)


def _counts(steps: Sequence[Step]) -> str:
    verdicts = [s.verdict for s in steps if s.verdict not in QUIET]
    unchanged = len(steps) - len(verdicts)
    if not verdicts:
        return f"nothing to do: {unchanged} unchanged"
    parts = [f"{verdicts.count(v)} {v}" for v in dict.fromkeys(verdicts)]
    return ", ".join([*parts, f"{unchanged} unchanged"])
