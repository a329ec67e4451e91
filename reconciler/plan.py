"""What a pass does, decided: desired and observed in, a plan out.

Each name is put to the questions of ``questions``, in their order. Two rules stand above all: what
cannot be seen whole is not touched, and a start happens only where nothing of that name is alive.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from reconciler.case import Case, changes_at, owed, pause_in_force, selects
from reconciler.manifest import last_good
from reconciler.model import (
    LOCAL_SINK,
    Action,
    Desired,
    History,
    Manifest,
    Node,
    Observed,
    Pause,
    Plan,
    Refusal,
    Rest,
    Step,
)
from reconciler.prune import guard
from reconciler.questions import decide
from reconciler.touched import touched

NOTHING: Mapping[str, Any] = MappingProxyType({})
NO_HISTORY = History()


def plan(
    desired: Desired,
    observed: Observed,
    history: Mapping[str, History],
    now: float,
    *,
    wall: float,
    node: Node,
    passes_since: float,
    pauses: Mapping[str, Pause] = NOTHING,
    restarts: Mapping[str, Collection[str]] = NOTHING,
    fingerprints: Mapping[str, str] = NOTHING,
    force: bool = False,
    before: Plan | None = None,
) -> Plan:
    """Decide for every name that is wanted, alive or due to be restarted, in name order.

    `now` and `passes_since` are monotonic seconds, `wall` epoch seconds; passes were uninterrupted since
    `passes_since`. `history` must be of this boot (see restarts.in_boot). `restarts` names the instances that
    somebody asked to have replaced. `fingerprints`, by name, are of the files and variables a manifest refers
    to. `force` passes the prune guard, but not where the manifests are unread. Steps of `before`, the last plan, that
    do nothing are taken over where nothing that they were decided from is another now.
    """
    alive = {name for name, instances in observed.instances.items() if instances}
    running = alive | {
        n for n, past in history.items() if past.next_start is not None or not observed.complete
    }
    gone = (running & observed.applied.keys()) - desired.manifests.keys()
    known = {**desired.manifests, **{name: last_good(observed.applied[name]) for name in gone}}
    refusal = guard(desired, observed, history, known=known, running=running, now=now, node=node, force=force)
    refused = frozenset(refusal.names) if refusal else frozenset()
    leaving = bool(desired.unconfirmed) or _any_leaving(desired, observed, known, refusal, now)
    shared = (
        *(observed.complete, observed.writable, observed.boot_id, leaving, "default" in desired.manifests),
        *(refusal, node, passes_since),
    )
    given = (
        *(desired.manifests, history, observed.instances, observed.holders, observed.reports),
        *(observed.applied, pauses, restarts, fingerprints),
    )
    names = desired.manifests.keys() | running
    closely = touched(before.given, given) if before and before.shared == shared else names
    rested = before.rests if before else {}
    steps: list[Step] = []
    rests: dict[str, Rest] = {}
    for name in sorted(names):
        rest = rested.get(name)
        if (
            rest and name not in closely and now < rest.until and rest.step.kind != "Sink"
        ):  # which others decide too
            steps.append(rest.step)
            rests[name] = rest
            continue
        pause = pause_in_force(pauses.get(name), wall)
        own: dict[str, Any] = {
            "manifest": _planned(name, known, observed, pause),
            "unwanted": _unwanted(name, desired, node),
            "history": history.get(name, NO_HISTORY),
            "pause": pause,
            "replaced": restarts.get(name, ()),
            "refused": refusal.message if refusal and name in refused else None,
            "owed": owed(name, observed) if name in known and known[name].kind == "Sink" else None,
            "elsewhere": node.senders_elsewhere and name in known and known[name].kind == "Sink",
            "fingerprint": fingerprints.get(name, ""),
        }
        facts = (shared, *own.values(), *_seen(name, observed, own["manifest"]))
        if rest is None or now >= rest.until or rest.facts != facts:
            case = Case(
                name=name,
                desired=desired,
                observed=observed,
                leaving=leaving,
                now=now,
                wall=wall,
                passes_since=passes_since,
                **own,
            )
            step = decide(case)
            rest = Rest(step, facts, changes_at(case))
        steps.append(rest.step)
        if rest.step.action is Action.NONE and pause is None:  # how long a pause lasts is the wall clock's
            rests[name] = rest
    return Plan(tuple(steps), refusal, rests, given, shared)


def _seen(name: str, observed: Observed, manifest: Manifest | None) -> tuple[object, ...]:
    """All that was observed of one name, but what it counts; how late its report may be is in :attr:`Rest.until`."""
    instances, report = observed.instances.get(name, ()), observed.reports.get(name)
    limited = manifest is not None and manifest.resources.memory_bytes is not None
    return (
        instances,
        [i.memory_bytes for i in instances] if limited else None,
        report and (report.instance, report.boot_id, report.cycled),
        observed.holders.get(name),
        observed.applied.get(name),
    )


def _planned(
    name: str, known: Mapping[str, Manifest], observed: Observed, pause: Pause | None
) -> Manifest | None:
    """What a name is planned as: while it is paused, what it ran with last."""
    if pause and name in observed.applied:
        return last_good(observed.applied[name])
    return known.get(name)


def _unwanted(name: str, desired: Desired, node: Node) -> tuple[str, str] | None:
    manifest = desired.manifests.get(name)
    if manifest is None:
        return "Removed", "its manifest is gone"
    if not manifest.running:
        return "Stopped", "its manifest says state: stopped"
    if not selects(manifest, node):
        return "NotSelected", f"its nodeSelector does not match node {node.name}"
    if name == LOCAL_SINK and not any(
        LOCAL_SINK in desired.sinks_of(m) and selects(m, node) for m in desired.manifests.values()
    ):
        return "Unneeded", "no collector writes to it"
    return None


def _any_leaving(
    desired: Desired, observed: Observed, known: Mapping[str, Manifest], refusal: Refusal | None, now: float
) -> bool:
    """Whether removed collectors are about to end, or would if they were let.

    One that is protected for good, or that KILL does not end, keeps nobody waiting; nor does a Sink, which
    reads no device.
    """
    stays = refusal.names if refusal else ()
    if refusal and refusal.reason != "Protected":
        return True
    return any(
        name not in desired.manifests
        and name not in stays
        and not (name in known and known[name].kind == "Sink")
        and any(i.stopping is None or now < i.stopping.kill_at for i in instances)
        for name, instances in observed.instances.items()
    )
