from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.diff import as_json, as_text, exit_code
from reconciler.manifest import manifest_of
from reconciler.model import (
    Action,
    Desired,
    Held,
    History,
    Holder,
    ManifestError,
    Observed,
    Pause,
    Plan,
    Points,
    Resources,
    Step,
    Stopping,
)
from reconciler.plan import plan
from tests.reconciler.given import (
    BOOT,
    LONG_AGO,
    NODE,
    NOW,
    WALL,
    applied,
    desired,
    instance,
    manifest,
    report,
)

PRESS = manifest("press", interval="1s")
EDITED = manifest("press", interval="2s")
JOB = manifest("press", type="exec", restart={"policy": "never"})
SINK = manifest("plant", "Sink", "influxdb")


def planned(want: Desired, seen: Observed, history: Mapping[str, History] | None = None, **more: Any) -> Plan:
    return plan(want, seen, history or {}, NOW, wall=WALL, node=NODE, **({"passes_since": LONG_AGO} | more))


def seen(*instances: Any, **more: Any) -> Observed:
    table: dict[str, Any] = {}
    for i in instances:
        table[i.name] = (*table.get(i.name, ()), i)
    reports = {i.name: report(i) for i in instances} | more.pop("reports", {})
    return Observed(BOOT, instances=table, reports=reports, **more)


ONE = instance(PRESS)


@dataclass
class Row:
    expected: tuple[str, str]
    want: Desired = field(default_factory=lambda: desired(PRESS))
    seen: Observed = field(default_factory=lambda: seen(ONE))
    history: History = field(default_factory=lambda: History(BOOT))
    more: dict[str, Any] = field(default_factory=dict)


ROWS = {
    "what is absent is started": Row(("start", "New"), seen=seen()),
    "what runs as wanted is kept": Row(("keep", "UpToDate")),
    "another digest is stopped before it is started": Row(("restart", "DigestChanged"), desired(EDITED)),
    "an old one still stopping is waited for": Row(
        ("wait", "Stopping"), desired(EDITED), seen(instance(PRESS, stopping=True))
    ),
    "past its grace it is killed, paused or not": Row(
        ("kill", "GraceExpired"),
        seen=seen(replace(ONE, stopping=Stopping(NOW - 9, NOW, "DigestChanged"))),
        more={"pauses": {"press": Pause("me", "test", WALL + 9)}},
    ),
    "a second one is stopped": Row(("stop", "Duplicate"), seen=seen(ONE, instance(PRESS, 2))),
    "paused is left alone": Row(
        ("paused", "Paused"), desired(EDITED), more={"pauses": {"press": Pause("me", "test", WALL + 9)}}
    ),
    "an expired pause is none": Row(
        ("restart", "DigestChanged"), desired(EDITED), more={"pauses": {"press": Pause("me", "test", WALL)}}
    ),
    "paused and stopped is stopped": Row(
        ("stop", "Paused"), more={"pauses": {"press": Pause("me", "test", WALL + 9, stopped=True)}}
    ),
    "one that crashes while paused is started as it was": Row(
        ("start", "NotRunning"),
        desired(EDITED),
        seen(applied={"press": applied(PRESS, desired(PRESS))}),
        History(BOOT, PRESS.digest, failures=1, next_start=NOW),
        {"pauses": {"press": Pause("me", "test", WALL + 9)}},
    ),
    "one that crashes while paused and stopped stays so": Row(
        ("paused", "Paused"),
        seen=seen(),
        history=History(BOOT, PRESS.digest, failures=1, next_start=NOW),
        more={"pauses": {"press": Pause("me", "test", WALL + 9, stopped=True)}},
    ),
    "a paused one that never ran is not started": Row(
        ("paused", "Paused"), seen=seen(), more={"pauses": {"press": Pause("me", "test", WALL + 9)}}
    ),
    "an asked restart stops what was meant": Row(
        ("restart", "RestartAsked"), more={"restarts": {"press": (ONE.instance,)}}
    ),
    "an asked restart does not touch what came after it": Row(
        ("keep", "UpToDate"), more={"restarts": {"press": ("an-earlier-one",)}}
    ),
    "state stopped is stopped": Row(
        ("stop", "Stopped"), desired(replace(PRESS, spec={"type": "modbus", "state": "stopped"}))
    ),
    "an unread process table touches nothing": Row(
        ("wait", "ProcessTableUnread"), desired(EDITED), seen(ONE, complete=False)
    ),
    "a silent one is replaced": Row(
        ("restart", "ReportStale"), seen=seen(ONE, reports={"press": report(ONE, monotonic_s=NOW - 61)})
    ),
    "nobody is called silent by a reconciler that was away": Row(
        ("keep", "UpToDate"),
        seen=seen(ONE, reports={"press": report(ONE, monotonic_s=NOW - 61)}),
        more={"passes_since": NOW - 5},
    ),
    "nobody is called silent where no report can be written": Row(
        ("keep", "UpToDate"),
        seen=seen(ONE, reports={"press": report(ONE, monotonic_s=NOW - 61)}, writable=False),
    ),
    "one that never cycles is replaced": Row(
        ("restart", "StartTimeout"), seen=seen(ONE, reports={"press": report(ONE, cycled=False)})
    ),
    "too much memory is replaced": Row(
        ("restart", "MemoryLimit"),
        desired(replace(PRESS, resources=Resources(memory_bytes=10))),
        seen(replace(ONE, memory_bytes=11)),
    ),
    "a stranger's lock holds": Row(("hold", "LockHeld"), seen=seen(holders={"press": Holder(7, "sleep")})),
    "exit 78 holds": Row(
        ("hold", "ConfigurationInvalid"),
        seen=seen(),
        history=History(BOOT, PRESS.digest, held=Held(PRESS.digest, "ConfigurationInvalid", "m")),
    ),
    "a changed file ends the hold": Row(
        ("start", "NotRunning"),
        seen=seen(),
        history=History(BOOT, PRESS.digest, held=Held(PRESS.digest, "ConfigurationInvalid", "m", "old")),
        more={"fingerprints": {"press": "new"}},
    ),
    "a completed one rests": Row(
        ("stopped", "Completed"), desired(JOB), seen(), History(BOOT, JOB.digest, completed=JOB.digest)
    ),
    "back-off waits": Row(
        ("wait", "BackOff"), seen=seen(), history=History(BOOT, PRESS.digest, next_start=NOW + 1)
    ),
    "a new digest ends the back-off": Row(
        ("start", "DigestChanged"), desired(EDITED), seen(), History(BOOT, PRESS.digest, next_start=NOW + 1)
    ),
    "after the back-off it starts": Row(
        ("start", "NotRunning"), seen=seen(), history=History(BOOT, PRESS.digest, next_start=NOW)
    ),
}


def only(found: Plan) -> Step:
    (step,) = found.steps
    return step


@pytest.mark.parametrize("sentence", ROWS)
def test(sentence: str) -> None:
    row = ROWS[sentence]
    step = only(planned(row.want, row.seen, {"press": row.history}, **row.more))
    assert (step.verdict, step.reason) == row.expected


@pytest.mark.parametrize("state", ["out of sight", "seen", "seen with another digest", "stopping late"])
def test_a_sender_that_is_kept_elsewhere_is_told_of_and_never_touched(state: str) -> None:
    old = manifest("plant", "Sink", "influxdb", timeout="1s")
    late = replace(instance(SINK), stopping=Stopping(NOW - 20, NOW - 10, "Asked"))
    there = {"out of sight": (), "seen": (instance(SINK),), "stopping late": (late,)}
    elsewhere = replace(NODE, senders_elsewhere=True)
    table = seen(*there.get(state, (instance(old),)))
    made = plan(desired(PRESS, SINK), table, {}, NOW, wall=WALL, node=elsewhere, passes_since=LONG_AGO)
    acts = {step.name: (step.action, step.reason) for step in made.steps}
    assert acts["plant"] == (Action.NONE, "Elsewhere")
    assert acts["press"][0] is Action.START, "only senders are"


def test_a_pause_is_looked_at_when_it_runs_out_and_starts_what_ran() -> None:
    given_before = applied(PRESS, desired(PRESS))
    pauses = {"press": Pause("eve", "valve", WALL + 9)}
    (step,) = planned(desired(EDITED), seen(ONE, applied={"press": given_before}), pauses=pauses).steps
    assert (step.until, step.digest) == (NOW + 9, PRESS.digest)
    assert "eve" in step.message
    assert "valve" in step.message


def test_live_fields_are_updated_without_a_restart() -> None:
    before = desired(manifest("press", tags=[{"name": "t", "unit": "K"}], env={"A": "x"}))
    after = desired(manifest("press", tags=[{"name": "t", "unit": "°C"}], env={"A": "x"}))
    old = before.manifests["press"]
    found = planned(after, seen(instance(old), applied={"press": applied(old, before)}))
    assert only(found).action is Action.UPDATE
    assert "spec.tags[t].unit" in as_text(found, after)
    assert exit_code(found) == 1


def test_a_diff_names_the_field_and_shows_no_environment() -> None:
    before = desired(manifest("press", interval="1s", env={"PW": "geheim1"}))
    after = desired(manifest("press", interval="2s", env={"PW": "geheim2"}))
    old = before.manifests["press"]
    found = planned(after, seen(instance(old), applied={"press": applied(old, before)}))
    assert [(c.field, c.before, c.effect) for c in only(found).changes] == [
        ("spec.env.PW", "changed", "restart"),
        ("spec.interval", "1s", "restart"),
    ]
    assert "geheim" not in as_text(found, after) + str(as_json(found, after))


def test_an_unwanted_sink_delivers_before_it_stops() -> None:
    one = instance(SINK)
    known = {"plant": applied(SINK, desired(SINK))}
    queued = report(one, points={"press": Points(5, 3, 2)})
    assert only(planned(desired(), seen(one, reports={"plant": queued}, applied=known))).verdict == "draining"
    assert only(planned(desired(), seen(one, applied=known))).verdict == "stop"


def test_local_runs_only_where_somebody_writes_to_it() -> None:
    local = manifest("local", "Sink", "sqlite")
    assert [s.verdict for s in planned(desired(local), seen()).steps] == ["stopped"]
    assert [s.verdict for s in planned(desired(local, PRESS), seen()).steps] == ["start", "start"]


def test_an_empty_directory_stops_nothing_unless_forced() -> None:
    found = planned(desired(), seen(ONE))
    assert (only(found).verdict, found.refusal and found.refusal.reason) == ("blocked", "NothingWanted")
    assert only(planned(desired(), seen(ONE), force=True)).action is Action.STOP


def test_an_unread_root_stops_nothing_even_when_forced() -> None:
    assert only(planned(desired(unread="gone"), seen(ONE), force=True)).verdict == "blocked"


def test_pruning_by_trickle_is_refused() -> None:
    all_five = [manifest(f"c{n}") for n in range(5)]
    gone = {f"c{n}": History(BOOT, removed_at=NOW - 60) for n in range(2)}
    found = planned(desired(*all_five[3:]), seen(*map(instance, all_five[2:])), gone)
    assert found.refusal and found.refusal.names == ("c2",)
    assert planned(desired(*all_five[3:]), seen(*map(instance, all_five[2:]))).refusal is None


def test_a_new_name_waits_for_an_unconfirmed_removal_and_an_edit_does_not() -> None:
    other = manifest("other")
    want = desired(EDITED, other, manifest("new"), unconfirmed=frozenset({"other"}))
    found = planned(want, seen(ONE, instance(other)))
    assert {s.name: s.verdict for s in found.steps} == {"new": "wait", "other": "keep", "press": "restart"}


names = st.sampled_from(["a", "b", "c"])
worlds = st.lists(
    st.tuples(names, st.integers(1, 3), st.integers(1, 2), st.booleans()), unique_by=lambda t: (t[0], t[1])
)


@settings(max_examples=200)
@given(worlds, st.dictionaries(names, st.integers(1, 2)), st.booleans())
def test_no_start_unless_absent_and_a_broken_manifest_changes_no_action(
    alive: list[tuple[str, int, int, bool]], want: dict[str, int], complete: bool
) -> None:
    table = seen(*(instance(manifest(n, interval=f"{d}s"), k, stopping=s) for n, k, d, s in alive))
    table = replace(table, complete=complete)
    wanted = desired(*(manifest(n, interval=f"{d}s") for n, d in want.items()))
    found = planned(wanted, table)
    assert all(not table.instances.get(s.name) for s in found.steps if s.action is Action.START)
    if not complete:
        assert not found.acting
    broken = {n: ManifestError(f"{n}.yaml", 1, 1, "spec", "wrong") for n in want}
    assert planned(replace(wanted, broken=broken), table) == found


def test_a_duplicate_that_stops_is_looked_at_when_its_grace_ends() -> None:
    going = instance(PRESS, 2, stopping=True)
    observed = seen(ONE, going, reports={"press": report(ONE)})
    decided = plan(desired(PRESS), observed, {}, NOW, wall=WALL, node=NODE, passes_since=LONG_AGO)
    assert going.stopping
    assert decided.look_at == going.stopping.kill_at


limits = st.fixed_dictionaries(
    {
        "startTimeout": st.sampled_from(("5s", "30s")),
        "staleAfter": st.sampled_from(("15s", "60s")),
        "logSilence": st.sampled_from(("10s", "40s")),
    }
)
looks = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.5, 1.0, 5.0, 10.0, 15.0, 29.0, 30.0, 31.0)),  # later than the look before
        st.sampled_from(("young", "cycled", "silent")),
        st.sampled_from(("alive", "alive", "stopping", "gone")),
        st.sampled_from((None, None, 3.0, 40.0)),  # paused for so long
        st.sampled_from((None, None, 2.0, 20.0)),  # due to start so much later
        st.sampled_from((0, 3 << 20)),  # bytes of memory
    ),
    min_size=2,
    max_size=8,
)


@given(st.sampled_from(("modbus", "exec")), limits, st.sampled_from(({}, {"memory": "1MiB"})), looks)
@example(
    "modbus",
    {},
    {"memory": "1MiB"},
    [(0.0, "cycled", "alive", None, None, 0), (0.5, "cycled", "alive", None, None, 3 << 20)],
)
def test_a_plan_that_takes_over_what_has_not_changed_is_the_plan_made_anew(
    kind: str,
    health: dict[str, str],
    resources: dict[str, str],
    passes: list[tuple[float, str, str, float | None, float | None, int]],
) -> None:
    document = {"type": kind, "health": health, "resources": resources}
    press = manifest_of("Collector", "p.yaml", 1, {"name": "press"}, document, digest_of=PRESS.digest)
    want, before, now, reported = desired(press), None, NOW, NOW
    given_before = applied(press, want)
    kept: dict[object, Any] = {}  # what says the same is the very same object, as between real looks
    for later, report_is, fate, pause_s, due_s, memory in passes:
        now += later
        reported = reported if report_is == "silent" else now
        running = replace(instance(press, started=NOW), wrote=NOW, memory_bytes=memory)
        if fate == "stopping":
            running = replace(running, stopping=Stopping(NOW, NOW + 10, "DigestChanged"))
        told = report(running, cycled=report_is != "young", monotonic_s=reported)
        told = kept.setdefault(("report", told.cycled, reported), told)
        table = Observed(
            BOOT,
            instances={} if fate == "gone" else {"press": kept.setdefault((fate, memory), (running,))},
            reports={"press": told},
            applied={"press": given_before},
        )
        past = History(BOOT, digest=press.digest, next_start=None if due_s is None else NOW + due_s)
        past = kept.setdefault(("history", due_s), past)
        more: dict[str, Any] = {
            "pauses": {} if pause_s is None else {"press": Pause("me", "why", WALL + pause_s)},
            "wall": WALL + now - NOW,
            "node": NODE,
            "passes_since": LONG_AGO,
        }
        anew = plan(want, table, {"press": past}, now, **more)
        before = plan(want, table, {"press": past}, now, before=before, **more)
        assert before == anew
