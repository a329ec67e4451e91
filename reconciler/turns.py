"""How many starts go at once: a Python start takes half a second of a core, and all at once delay each other.

Chosen at every pass from what the plan wants to start, and to restart for a new digest or on request; all else
goes at once. First those that crashed, the longest due first and at least one in every pass, so that a single
crash never waits behind a mass change; then what was stopped for its restart, then new names, then what
still runs.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.case import own_report
from reconciler.model import Action, History, Instance, Observed, Plan, Step

YOUNG_S = {"builtin": 5.0, "exec": 0.1}
"""So long a process without a first report counts as starting; what it then waits for costs no CPU."""
RESTARTS = frozenset({"DigestChanged", "RestartAsked"})
STOPPING_S = 1.0
"""So long one that was asked to stop for its restart counts; a slow stop must not delay others."""


def in_turn(
    plan: Plan, observed: Observed, history: Mapping[str, History], now: float, at_once: int
) -> tuple[Step, ...]:
    """The acting steps of `plan` to carry out now, in its order; the others stay for later passes."""
    bounded = [s for s in plan.acting if _bounded(s)]
    under_way = sum(_under_way(i, observed, now) for found in observed.instances.values() for i in found)
    room = max(0, at_once - under_way)
    queue = sorted(bounded, key=lambda s: _rank(s, history.get(s.name, History())))
    if queue and not room and _crashed(queue[0], history):
        room = 1
    chosen = {s.name for s in queue[:room]}
    return tuple(s for s in plan.acting if not _bounded(s) or s.name in chosen)


def _bounded(step: Step) -> bool:
    if step.action is Action.STOP:
        return step.verdict == "restart" and step.reason in RESTARTS
    return step.action is Action.START


def _crashed(step: Step, history: Mapping[str, History]) -> bool:
    return step.action is Action.START and history.get(step.name, History()).next_start is not None


def _rank(step: Step, past: History) -> tuple[int, float, str]:
    if step.action is Action.STOP:
        return 3, 0.0, step.name
    if past.next_start is not None:
        return 0, past.next_start, step.name
    return (2 if past.digest is None else 1), 0.0, step.name


def _under_way(instance: Instance, observed: Observed, now: float) -> bool:
    if instance.stopping:
        return instance.stopping.reason in RESTARTS and now - instance.stopping.since < STOPPING_S
    given = observed.applied.get(instance.name)
    kind = "exec" if given and given.spec.spec.get("type") == "exec" else "builtin"
    if now - instance.started >= YOUNG_S[kind]:
        return False
    return own_report(observed.reports.get(instance.name), instance, observed.boot_id) is None
