"""Manifests that vanish: what stays, for how long, and how it goes when it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.diff import exit_code
from reconciler.model import Action, Desired, Held, History, Observed, Plan, Points, Step, StopPolicy
from reconciler.plan import plan
from reconciler.prune import ANNOTATION
from reconciler.restarts import after_pass
from tests.reconciler.given import BOOT, NODE, NOW, WALL, applied, desired, instance, manifest, report

FIVE = [manifest(f"c{n}") for n in range(5)]
SINK = manifest("plant", "Sink", "influxdb")
WRITER = manifest("press", sinks=["plant"])
DUE = History(BOOT, "d", failures=1, next_start=NOW)


def planned(want: Desired, seen: Observed, history: dict[str, History] | None = None, **more: Any) -> Plan:
    past = history or {}
    return plan(want, seen, past, NOW, wall=WALL, node=NODE, passes_since=0.0, **more)


def seen(*running: Any, ran: Any = (), **more: Any) -> Observed:
    every = desired(*running, *ran)
    return Observed(
        BOOT,
        instances={m.name: (instance(m),) for m in running},
        applied={m.name: applied(m, every) for m in every.manifests.values()},
        **{"reports": {m.name: report(instance(m)) for m in running}, **more},
    )


def step(found: Plan, name: str) -> Step:
    return next(s for s in found.steps if s.name == name)


def test_a_removed_name_is_stopped_by_the_policy_it_ran_with() -> None:
    slow = manifest("c0", stop={"signal": "SIGINT", "grace": "30s"})
    found = step(planned(desired(*FIVE[1:]), seen(slow, *FIVE[1:])), "c0")
    assert (found.action, found.reason, found.stop) == (Action.STOP, "Removed", StopPolicy("SIGINT", 30.0))


def test_three_and_more_than_half_are_refused_and_fewer_are_not() -> None:
    assert planned(desired(*FIVE[3:]), seen(*FIVE)).refusal
    assert not planned(desired(*FIVE[2:]), seen(*FIVE)).refusal


def test_a_protected_one_stays_unless_forced() -> None:
    kept = replace(FIVE[0], annotations={ANNOTATION: "disabled"})
    look = seen(kept, *FIVE[1:])
    assert step(planned(desired(*FIVE[1:]), look), "c0").verdict == "blocked"
    assert step(planned(desired(*FIVE[1:]), look, force=True), "c0").verdict == "stop"


def test_what_is_blocked_and_crashes_is_restarted_and_still_counts() -> None:
    look = seen(*FIVE[1:], ran=FIVE[:1])
    found = planned(desired(*FIVE[3:]), look, {"c0": replace(DUE, digest=FIVE[0].digest)})
    assert found.refusal and found.refusal.names == ("c0", "c1", "c2")
    assert (step(found, "c0").action, step(found, "c0").digest) == (Action.START, FIVE[0].digest)


def test_new_names_wait_while_removals_are_refused() -> None:
    found = planned(desired(manifest("new")), seen(*FIVE))
    assert step(found, "new").reason == "RemovalPending"


def test_a_name_that_went_begins_anew_and_counts_for_ten_minutes() -> None:
    past = {"c0": History(BOOT, "d", restart_count=4, held=Held("d", "RestartLimit", "m"))}
    found = planned(desired(*FIVE[1:]), seen(*FIVE))
    assert after_pass(past, found, BOOT, NOW) == {"c0": History(BOOT, removed_at=NOW)}
    later = planned(desired(*FIVE[1:]), seen(*FIVE[1:]))
    assert after_pass({"c0": History(BOOT, removed_at=NOW - 599)}, later, BOOT, NOW)
    assert not after_pass({"c0": History(BOOT, removed_at=NOW - 600)}, later, BOOT, NOW)


def test_a_sink_stays_while_a_running_collector_writes_to_it() -> None:
    found = planned(desired(), seen(SINK, WRITER))
    assert (step(found, "press").verdict, step(found, "plant").verdict) == ("blocked", "draining")


def test_a_draining_sink_that_crashes_is_restarted_with_what_it_ran_with() -> None:
    queued = {"plant": replace(report(instance(SINK)), points={"press": Points(5, 3, 2)})}
    look = seen(ran=[SINK], reports=queued)
    found = planned(desired(), look, {"plant": replace(DUE, digest=SINK.digest)})
    assert (step(found, "plant").action, step(found, "plant").digest) == (Action.START, SINK.digest)


def test_a_sender_that_spoke_last_says_what_is_queued() -> None:
    collectors = replace(report(instance(WRITER)), monotonic_s=NOW - 60, points={"plant": Points(5, 3, 2)})
    sender = replace(report(instance(SINK)), points={"press": Points(5, 5)})
    look = seen(SINK, reports={"press": collectors, "plant": sender})
    assert step(planned(desired(), look), "plant").verdict == "stop"
    restarted = replace(sender, cycled=False, points={})
    look = seen(SINK, reports={"press": collectors, "plant": restarted})
    assert step(planned(desired(), look), "plant").verdict == "draining"


def test_a_draining_sink_keeps_no_new_collector_waiting_and_nothing_pending() -> None:
    queued = {"plant": replace(report(instance(SINK)), points={"press": Points(5, 3, 2)})}
    found = planned(desired(FIVE[0]), seen(SINK, reports=queued))
    assert step(found, "c0").verdict == "start"
    assert exit_code(found, ["plant"]) == 0
