"""How many starts go at once: an interpreter's takes half a second of a core, and all at once delay each other.

Of the nursery's, which take some milliseconds, more go at once; while it warms up, what is new waits for it. Chosen at
every pass from what the plan wants to start, and to restart for a new digest or on request; all else goes at once.
First those that crashed, the longest due first and at least one in every pass, so that a single crash never waits
behind a mass change; then what was stopped for its restart, then new names, then what still runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, NamedTuple

from reconciler.case import own_report
from reconciler.model import Action, History, Instance, Observed, Plan, Step

YOUNG_S = {"builtin": 5.0, "exec": 0.1}
"""So long a process without a first report counts as starting; what it then waits for costs no CPU."""
RESTARTS = frozenset({"DigestChanged", "RestartAsked"})
STOPPING_S = 1.0
"""So long one that was asked to stop for its restart counts; a slow stop must not delay others."""


class AtOnce(NamedTuple):
    """How many starts of each kind may be under way; 0 where what is new has to wait. With `down` of a kind under way
    nothing more that runs is stopped for its restart.
    """

    builtin: int
    exec: int
    down: int


def at_once(warmth: Literal["cold", "warming", "warm"], cores: int) -> AtOnce:
    """As the nursery is warm: a fork takes milliseconds, and its collector some 20 ms to its first reading. So of new
    ones many go at once, of those that collect meanwhile no more than are back in a moment.
    """
    builtin = {"cold": 2, "warming": 0, "warm": 128}
    return AtOnce(builtin[warmth] * cores, exec=2 * cores, down=16 * cores)


def in_turn(
    plan: Plan, observed: Observed, history: Mapping[str, History], now: float, bounds: AtOnce
) -> tuple[Step, ...]:
    """The acting steps of `plan` to carry out now, in its order; the others stay for later passes."""
    under_way = Counter(
        _kind_of(i.name, observed)
        for found in observed.instances.values()
        for i in found
        if _under_way(i, observed, now)
    )
    chosen: set[str] = set()
    for kind, bound in (("builtin", bounds.builtin), ("exec", bounds.exec)):
        bounded = [s for s in plan.acting if _bounded(s) and _kind(s, observed) == kind]
        queue = sorted(bounded, key=lambda s: _rank(s, history.get(s.name, History())))
        room = max(0, bound - under_way[kind])
        if queue and not room and _crashed(queue[0], history):
            room = 1
        starts = [s for s in queue if s.action is Action.START][:room]
        to_stop = max(0, min(bound, bounds.down) - under_way[kind] - len(starts))
        chosen.update(s.name for s in starts)
        chosen.update(s.name for s in [s for s in queue if s.action is Action.STOP][:to_stop])
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


def _kind(step: Step, observed: Observed) -> str:
    if step.manifest is None:
        return _kind_of(step.name, observed)
    return "exec" if step.manifest.type == "exec" else "builtin"


def _kind_of(name: str, observed: Observed) -> str:
    """Of what runs, or ran last, under that name."""
    given = observed.applied.get(name)
    return "exec" if given and given.spec.spec.get("type") == "exec" else "builtin"


def _under_way(instance: Instance, observed: Observed, now: float) -> bool:
    if instance.stopping:
        return instance.stopping.reason in RESTARTS and now - instance.stopping.since < STOPPING_S
    if now - instance.started >= YOUNG_S[_kind_of(instance.name, observed)]:
        return False
    return own_report(observed.reports.get(instance.name), instance, observed.boot_id) is None
