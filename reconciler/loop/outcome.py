"""What a look found, and what `daq apply` says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.model import Desired, History, Observed, Plan


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found and what is to be done about it."""

    desired: Desired
    observed: Observed
    histories: Mapping[str, History]
    plan: Plan
    now: float


def is_settled(look: Look, document: Mapping[str, Any]) -> bool:
    """Whether further passes would wait for people or devices only; `document` is status.json of that look.

    A lock that somebody else holds may be given up at any moment, unlike what is held until its manifest changes.
    """
    if look.desired.look_at is not None or look.plan.acting:
        return False
    if document["converged"]:
        return True
    statuses = document["processes"]
    if any(s["status"] in ("starting", "stopping", "crashed") for s in statuses):
        return False
    paused = any(s["health"] == "paused" for s in statuses)
    held = any(s.verdict == "hold" and s.reason != "LockHeld" for s in look.plan.steps)
    desired = look.desired
    return bool(
        paused or held or look.plan.refusal or desired.errors or desired.unread or desired.source.error
    )


def headline(document: Mapping[str, Any], processes: int) -> str:
    """A look in a few words."""
    state = "converged" if document["converged"] else "not converged yet"
    return f"{state}: {document['summary']['total_processes']} collectors, {processes} processes"


def moved(expected: str, plan: Plan) -> tuple[str, ...]:
    """Lines that say how a plan differs from the one that was to be applied."""
    now = f"cannot apply plan {expected}: the plan has moved and is {plan.id} now"
    if not plan.acting:
        return (f"{now}, nothing to do",)
    return (f"{now}:", *(f"{s.verdict:<8} {s.name}  {s.message}" for s in plan.acting))


def outcome(
    look: Look, document: Mapping[str, Any], done: Sequence[str], moved: Sequence[str]
) -> Mapping[str, Any]:
    """The reply to an apply: what was ``done``, whether the plant ``converged``, and the ``problems``."""
    desired, refusal = look.desired, look.plan.refusal
    problems = [*moved, *map(str, desired.errors)]
    unread = desired.unread or desired.source.error
    problems += [unread] if unread and not problems else []
    problems += [f"refused: {refusal.message}: {', '.join(refusal.names)}"] if refusal else []
    refused = bool(problems)
    for step in look.plan.steps:
        if not refused and step.verdict in ("hold", "wait", "paused"):
            problems.append(f"{step.name}: {step.message}")
    return {
        "converged": document["converged"] and not refused,
        "refused": refused,
        "done": list(done),
        "problems": problems,
    }
