"""What commands order of a reconciler besides a pass: pause, resume, restart; stored before it is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.loop.reconcile import Reconciler
from reconciler.model import Pause
from reconciler.news import News


def carry_out(reconciler: Reconciler, order: Mapping[str, Any]) -> Mapping[str, Any]:
    """Store what is ordered; the next pass acts on it. The reply holds `names`, or in `refused` why not.

    Raises ValueError for an order that is none, OSError where it cannot be stored.
    """
    match order:
        case {
            "op": "pause",
            "names": [*names],
            "who": str(who),
            "why": str(why),
            "until_at": float(until_at),
        }:
            pause = Pause(who, why, until_at, order.get("stopped") is True)
            return _pause(reconciler, names, pause)
        case {"op": "resume", "names": [*names]}:
            return _resume(reconciler, names)
        case {"op": "restart", "names": [*names], "who": str(who)}:
            return _restart(reconciler, names, who)
    raise ValueError(f"unknown order {order.get('op')!r}")


def restarted(reconciler: Reconciler, names: Sequence[str]) -> bool:
    """Whether all of them run again after a restart that was ordered."""
    return not any(name in reconciler.overrides.restarts for name in names) and all(
        reconciler.statuses[name]["pid"] is not None for name in names if name in reconciler.statuses
    )


def _pause(reconciler: Reconciler, names: Sequence[str], pause: Pause) -> Mapping[str, Any]:
    if refusal := _unknown(reconciler, "pause", names):
        return refusal
    reconciler.overrides.pause(names, pause)
    return {"names": names}


def _resume(reconciler: Reconciler, names: Sequence[str]) -> Mapping[str, Any]:
    awake = [name for name in names if name not in reconciler.overrides.pauses]
    if awake:
        return {"refused": f"cannot resume {', '.join(awake)}: not paused"}
    reconciler.overrides.resume(names)
    return {"names": names}


def _restart(reconciler: Reconciler, names: Sequence[str], who: str) -> Mapping[str, Any]:
    if refusal := _unknown(reconciler, "restart", names):
        return refusal
    for name in names:
        status = reconciler.statuses[name]
        if name in reconciler.overrides.pauses:
            return {"refused": f"cannot restart {name}: {reconciler.overrides.pauses[name].sentence}"}
        if status["desired_state"] == "stopped":
            return {"refused": f"cannot restart {name}: it is not wanted to run; daq start {name}"}
    reconciler.release(names)
    reconciler.overrides.restart({name: found for name in names if (found := reconciler.instances(name))})
    for name in names:
        reconciler.tell(News("RestartAsked", f"by {who}", name))
    return {"names": names}


def _unknown(reconciler: Reconciler, verb: str, names: Sequence[str]) -> Mapping[str, Any] | None:
    unknown = [name for name in names if name not in reconciler.statuses]
    if not unknown:
        return None
    return {"refused": f"cannot {verb} {', '.join(unknown)}: there is no collector or sink of that name"}
