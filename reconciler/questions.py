"""The planner's questions about one name, in their order; the first that has an answer wins."""

from __future__ import annotations

from collections.abc import Callable

from reconciler.case import Case, first_sign, trouble
from reconciler.changes import changes, live_changes, live_file
from reconciler.model import Action, Change, Step


def decide(case: Case) -> Step:
    """The first answer."""
    return next(step for question in QUESTIONS if (step := question(case)) is not None)


def table_unread(case: Case) -> Step | None:
    """Was the process table read whole?"""
    if case.observed.complete:
        return None
    return case.rest("wait", "ProcessTableUnread", "cannot read the whole process table; nothing is touched")


def elsewhere(case: Case) -> Step | None:
    """Does somebody else keep it? What is seen of it is told, and never touched."""
    if not case.elsewhere:
        return None
    message = "daq send keeps it, not this loop (--senders elsewhere)"
    return case.rest("keep" if case.calm else "stopped", "Elsewhere", message, instances=case.calm)


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
    elsewhere,
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
