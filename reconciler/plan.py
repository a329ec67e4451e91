"""What a pass does, decided: desired and observed in, a plan out.

The questions in the order of QUESTIONS; the first that has an answer wins. Two rules stand above all: what
cannot be seen whole is not touched, and a start happens only where nothing of that name is alive.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from reconciler.case import Case, first_sign, owed, pause_in_force, selects, trouble
from reconciler.changes import changes, live_changes, live_file
from reconciler.manifest import last_good
from reconciler.model import (
    LOCAL_SINK,
    Action,
    Change,
    Desired,
    History,
    Manifest,
    Node,
    Observed,
    Pause,
    Plan,
    Refusal,
    Step,
)
from reconciler.prune import guard

NOTHING: Mapping[str, Any] = MappingProxyType({})


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
) -> Plan:
    """Decide for every name that is wanted, alive or due to be restarted, in name order.

    `now` and `passes_since` are monotonic seconds, `wall` epoch seconds; passes were uninterrupted since
    `passes_since`. `history` must be of this boot (see restarts.in_boot). `restarts` names the instances that
    somebody asked to have replaced. `fingerprints`, by name, are of the files and variables a manifest refers
    to. `force` passes the prune guard, but not where the manifests are unread.
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
    unwanted = {name: _unwanted(name, desired, node) for name in desired.manifests}
    cases = (
        Case(
            name=name,
            manifest=_planned(name, known, observed, pauses.get(name), wall),
            unwanted=unwanted.get(name, ("Removed", "its manifest is gone")),
            desired=desired,
            observed=observed,
            history=history.get(name, History()),
            pause=pause_in_force(pauses.get(name), wall),
            replaced=restarts.get(name, ()),
            refused=refusal.message if refusal and name in refused else None,
            owed=owed(name, observed) if name in known and known[name].kind == "Sink" else None,
            fingerprint=fingerprints.get(name, ""),
            leaving=leaving,
            now=now,
            wall=wall,
            passes_since=passes_since,
        )
        for name in sorted(desired.manifests.keys() | running)
    )
    return Plan(tuple(decide(case) for case in cases), refusal)


def decide(case: Case) -> Step:
    """The first answer."""
    return next(step for question in QUESTIONS if (step := question(case)) is not None)


def _planned(
    name: str, known: Mapping[str, Manifest], observed: Observed, pause: Pause | None, wall: float
) -> Manifest | None:
    """What a name is planned as: while it is paused, what it ran with last."""
    if pause_in_force(pause, wall) and name in observed.applied:
        return last_good(observed.applied[name])
    return known.get(name)


def _unwanted(name: str, desired: Desired, node: Node) -> tuple[str, str] | None:
    manifest = desired.manifests[name]
    if not manifest.running:
        return "Stopped", "its manifest says state: stopped"
    if not selects(manifest, node):
        return "NotSelected", f"its nodeSelector does not match node {node.name}"
    if name == LOCAL_SINK and not any(
        LOCAL_SINK in desired.sinks_of(m) for m in desired.manifests.values() if selects(m, node)
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


# --- the questions ----------------------------------------------------------------------------------------


def table_unread(case: Case) -> Step | None:
    """Was the process table read whole?"""
    if case.observed.complete:
        return None
    return case.rest("wait", "ProcessTableUnread", "cannot read the whole process table; nothing is touched")


def past_grace(case: Case) -> Step | None:
    """Did a stop take longer than its grace?"""
    late = tuple(i for i in case.instances if i.stopping and case.now >= i.stopping.kill_at)
    if not late:
        return None
    return case.step(Action.KILL, "kill", "GraceExpired", "did not end within its grace", instances=late)


def paused(case: Case) -> Step | None:
    """Did somebody pause it? One that crashes meanwhile is restarted as it was, unless it shall be stopped."""
    pause = case.pause
    if pause is None:
        return None
    if pause.stopped and case.instances:
        return _end(case, "Paused", pause.sentence)
    if not pause.stopped and not case.instances and case.history.next_start is not None:
        return None
    return case.rest("paused", "Paused", pause.sentence, until=case.now + pause.until_at - case.wall)


def duplicate(case: Case) -> Step | None:
    """Does it run more than once?"""
    if len(case.calm) < 2:
        return None
    keep = case.right or min(case.calm, key=lambda i: (i.started, i.instance))
    others = tuple(i for i in case.calm if i is not keep)
    return case.step(Action.STOP, "stop", "Duplicate", "runs more than once", instances=others)


def draining(case: Case) -> Step | None:
    """Is it a Sink nobody wants that somebody writes to, or that still has points to deliver?"""
    if case.unwanted is None or not case.owed or not case.calm:
        return None
    return case.rest("draining", "Draining", f"{case.unwanted[1]}; {case.owed}")


def unwanted(case: Case) -> Step | None:
    """Should there be no process?

    One that runs on nevertheless and has crashed is restarted like any other, with what it ran with last.
    """
    if case.unwanted is None:
        return None
    reason, message = case.unwanted
    if case.calm and case.refused:
        return case.rest("blocked", "PruneBlocked", case.refused)
    if case.manifest and (case.refused or case.owed) and not case.instances:
        return None
    return _end(case, reason, message) if case.instances else case.rest("stopped", reason, message)


def wrong(case: Case) -> Step | None:
    """Is what runs not what is wanted?"""
    if not case.calm or case.right:
        return None
    if any(i.leader is None for i in case.calm):
        reason, message = "LeaderDead", "its first process is dead and others of it live on"
    else:
        reason, message = "DigestChanged", "its manifest changed"
    return case.step(Action.STOP, "restart", reason, message, instances=case.calm, changes=_changes(case))


def restart_asked(case: Case) -> Step | None:
    """Did somebody ask to have what runs restarted?"""
    old = tuple(i for i in case.calm if i.instance in case.replaced)
    if not old:
        return None
    return case.step(Action.STOP, "restart", "RestartAsked", "daq restart asked for it", instances=old)


def sick(case: Case) -> Step | None:
    """Does the right one run, but over its memory, without a first cycle, or silent?"""
    keep, manifest = case.right, case.manifest
    if keep is None or manifest is None:
        return None
    found = trouble(case, keep, manifest)
    if found is None:
        return None
    return case.step(Action.STOP, "restart", *found, instances=(keep,))


def outdated(case: Case) -> Step | None:
    """Does the right one run with other live values?"""
    keep, manifest = case.right, case.manifest
    if keep is None or manifest is None:
        return None
    found = live_changes(case.observed.applied.get(case.name), live_file(case.desired, manifest))
    if not found:
        return None
    message = "takes over changed values without a restart"
    return case.step(Action.UPDATE, "update", "LiveFieldsChanged", message, instances=(keep,), changes=found)


def right(case: Case) -> Step | None:
    """Does the right one run?"""
    if case.right is None or case.manifest is None:
        return None
    ends = [i.stopping.kill_at for i in case.instances if i.stopping]  # of a duplicate beside it
    until = min(ends, default=first_sign(case, case.right, case.manifest))
    return case.rest("keep", "UpToDate", "runs as wanted", instances=(case.right,), until=until)


def stopping(case: Case) -> Step | None:
    """Is an old one still on its way out?"""
    return _wait_for_end(case) if case.instances else None


def lock_held(case: Case) -> Step | None:
    """Does a stranger hold its lock?"""
    holder = case.observed.holders.get(case.name)
    if holder is None:
        return None
    who = "a process that is not visible from here (another PID namespace?)"
    if holder.pid is not None:
        who = f"process {holder.pid} ({holder.command})"
    return case.rest("hold", "LockHeld", f"cannot start: its lock is held by {who}, which is not ours")


def newcomer(case: Case) -> Step | None:
    """Is it new while another name is leaving? It may be the same thing under another name."""
    if not case.leaving or case.history.digest is not None:
        return None
    return case.rest("wait", "RemovalPending", "new names start once removed ones have ended")


def held(case: Case) -> Step | None:
    """Did it end in a way that only a change can cure?"""
    held = case.history.held
    if held is None or case.manifest is None:
        return None
    if (held.digest, held.fingerprint) != (case.manifest.digest, case.fingerprint):
        return None
    return case.rest("hold", held.reason, held.message)


def completed(case: Case) -> Step | None:
    """Has it done its work?"""
    if case.manifest is None or case.history.completed != case.manifest.digest:
        return None
    if case.manifest.restart.policy == "always":
        return None
    return case.rest("stopped", "Completed", "exited with 0 and is not restarted (restart.policy)")


def backing_off(case: Case) -> Step | None:
    """Did it fail, and is it too early to try again?"""
    at = case.history.next_start
    if at is None or case.now >= at or case.manifest is None or case.history.digest != case.manifest.digest:
        return None
    message = f"starts again after {case.history.failures} failure(s) in a row"
    return case.rest("wait", "BackOff", message, until=at)


def absent(case: Case) -> Step:
    """Nothing of that name is alive: start it."""
    before = case.history.digest
    if before is None:
        reason, message = "New", "not running yet"
    elif case.manifest and before != case.manifest.digest:
        reason, message = "DigestChanged", "its manifest changed"
    else:
        reason, message = "NotRunning", "not running"
    return case.step(Action.START, "start", reason, message, changes=_changes(case))


QUESTIONS: tuple[Callable[[Case], Step | None], ...] = (
    table_unread,
    past_grace,
    paused,
    duplicate,
    draining,
    unwanted,
    wrong,
    restart_asked,
    sick,
    outdated,
    right,
    stopping,
    lock_held,
    newcomer,
    held,
    completed,
    backing_off,
    absent,
)


# --- what they share -------------------------------------------------------------------------------------


def _end(case: Case, reason: str, message: str) -> Step:
    """Ask what runs to stop, or wait for what was asked."""
    if case.calm:
        return case.step(Action.STOP, "stop", reason, message, instances=case.calm)
    return _wait_for_end(case)


def _wait_for_end(case: Case) -> Step:
    until = min(i.stopping.kill_at for i in case.instances if i.stopping)
    return case.rest("wait", "Stopping", "still stopping", instances=case.instances, until=until)


def _changes(case: Case) -> tuple[Change, ...]:
    if case.manifest is None:
        return ()
    applied = case.observed.applied.get(case.name)
    return changes(applied, case.manifest, live_file(case.desired, case.manifest))
