from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from collectors.contract import BufferReport, DeviceReport, Trouble
from reconciler.described import Descriptions
from reconciler.model import Desired, History, Holder, ManifestError, Observed, Points, Report, Termination
from reconciler.plan import plan
from reconciler.status import is_converged, process_status, summary, terminations
from tests.reconciler.given import BOOT, LONG_AGO, NODE, NOW, WALL, desired, instance, manifest, report

SCHEMA = Draft202012Validator(json.loads(Path("schemas/status.schema.json").read_text()))
PRESS = manifest("press", interval="1s", sinks=["plant"])
ONE = instance(PRESS)
PLANT = manifest("plant", kind="Sink", type="influxdb")
SENDER = instance(PLANT)


def shown(
    want: Desired, *reports: Report, alive: bool = True, sending: bool = True, previous: Any = None
) -> tuple[dict[str, Any], bool]:
    living = {"press": (ONE,)} if alive else {}
    living |= {"plant": (SENDER,)} if sending else {}
    seen = Observed(BOOT, instances=living, reports={r.name: r for r in reports})
    steps = plan(want, seen, {}, NOW, wall=WALL, node=NODE, passes_since=LONG_AGO).steps
    step = next(s for s in steps if s.name == "press")
    status = process_status(step, want, seen, History(BOOT), node=NODE, now=NOW, wall=WALL, previous=previous)
    SCHEMA.validate(json.loads(json.dumps(status)))
    whole = is_converged([step], [status], want)
    assert summary([status], want, seen, converged=whole)["total_processes"] == 1
    return status, whole


def test_what_runs_and_reports_is_healthy_and_converged() -> None:
    status, whole = shown(desired(PRESS), report(ONE, points={"a": Points(3, 2, 1), "b": Points(2, 2)}))
    assert (status["status"], status["health"], whole) == ("running", "healthy", True)
    assert status["points"] == {"acquired": 5, "delivered": 4, "queued": 1, "dropped": 0, "rejected": 0}


def test_a_dead_device_is_degraded_and_still_ready() -> None:
    status, whole = shown(desired(PRESS), report(ONE, devices=(DeviceReport("d", "h:502"),)))
    assert (status["health"], whole) == ("degraded", True)
    assert "DeviceDisconnected" in [c["type"] for c in status["conditions"]]


def test_a_sink_whose_sender_does_not_run_degrades_who_writes_to_it() -> None:
    status, whole = shown(desired(PRESS), report(ONE), sending=False)
    assert (status["health"], whole) == ("degraded", True)
    assert "DataHeld" in [c["type"] for c in status["conditions"]]


def test_a_sender_out_of_sight_that_holds_its_lock_runs() -> None:
    def health(*reports: Report, **more: Any) -> str:
        known = {r.name: r for r in reports}
        seen = Observed(BOOT, instances={"press": (ONE,)}, reports=known, **more)
        node = replace(NODE, senders_elsewhere=True)
        want = desired(PRESS, PLANT)
        steps = plan(want, seen, {}, NOW, wall=WALL, node=node, passes_since=LONG_AGO).steps
        step = next(s for s in steps if s.name == "press")
        status = process_status(step, want, seen, History(BOOT), node=node, now=NOW, wall=WALL)
        return str(status["health"])

    unseen = {"plant": Holder(None, "")}
    held = report(SENDER, held=Trouble("Unreachable", "no route", WALL))
    assert health(report(ONE)) == "degraded"
    assert health(report(ONE), holders=unseen) == "healthy"
    assert health(report(ONE), held, holders=unseen) == "degraded"


def test_points_are_as_whoever_spoke_last_counts_them() -> None:
    own = report(ONE, points={"plant": Points(3, 1, 2)})
    later = report(SENDER, points={"press": Points(3, 3, 0)}, monotonic_s=NOW)
    earlier = report(SENDER, points={"press": Points(2, 1, 1)}, monotonic_s=NOW - 2)
    assert shown(desired(PRESS), own, later, alive=False)[0]["points"]["queued"] == 0
    assert shown(desired(PRESS), own, earlier, alive=False)[0]["points"]["queued"] == 2


def test_a_broken_manifest_stays_ready_and_says_where() -> None:
    error = ManifestError("press.yaml", 3, 7, "spec", "wrong")
    status, whole = shown(desired(PRESS, broken={"press": error}, errors=(error,)), report(ONE))
    assert (status["health"], whole) == ("healthy", False)
    assert "press.yaml:3:7" in next(
        c["message"] for c in status["conditions"] if c["type"] == "ManifestInvalid"
    )


def test_what_holds_data_says_how_long_the_buffer_will_do() -> None:
    sender = report(SENDER, held=Trouble("ConnectionFailed", "cannot connect", WALL))
    for covers_s, said in (
        (11_470.0, "; 3 h 10 min of"),
        (59.0, "; less than 10 min of"),
        (7 * 86400.0, "; 7 days of"),
    ):
        own = report(ONE, buffer=BufferReport(5 << 20, 256 << 20, covers_s))
        status, _ = shown(desired(PRESS), own, sender)
        held = next(c for c in status["conditions"] if c["type"] == "DataHeld")
        assert held["message"] == f"sink plant: cannot connect{said} buffer left"
        assert status["buffer"] == {"bytes": 5 << 20, "max_bytes": 256 << 20, "covers_s": covers_s}


def test_what_a_collector_says_of_its_outbox_degrades_it() -> None:
    dropping = report(ONE, troubles={"DataHeld": Trouble("DataDropped", "the buffer is full", WALL)})
    damaged = report(ONE, troubles={"Healthy": Trouble("OutboxDamaged", "it was damaged", WALL)})
    for own, reason in ((dropping, "DataDropped"), (damaged, "OutboxDamaged")):
        status, _ = shown(desired(PRESS), own)
        healthy = next(c for c in status["conditions"] if c["type"] == "Healthy")
        assert (status["health"], healthy["reason"]) == ("degraded", reason)


def test_a_clock_set_back_does_not_make_an_older_report_the_newer_one() -> None:
    own = report(ONE, points={"plant": Points(3, 1, 2)}, at=WALL + 3600)
    later = report(SENDER, points={"press": Points(3, 3, 0)}, monotonic_s=NOW)
    assert shown(desired(PRESS), own, later, alive=False)[0]["points"]["queued"] == 0


def test_the_ends_of_a_name_are_told_newest_first_with_their_last_words() -> None:
    ends = [
        Termination("a", "i1", "d", 1, None, "wait", 10.0, 5.0, lived_s=2.0, tail="no"),
        Termination("a", "i2", "d", None, 9, "pidfd", 20.0, 6.0, lived_s=3.0),
        Termination("a", "i3", "d", None, None, "none", 30.0, 7.0),
    ]
    unseen, killed, failed = terminations(History(terminations=tuple(ends)))
    assert failed == {
        "exit_code": 1, "signal": None, "reason": "Exited", "at": 10.0, "observed_by": "wait", "lived_s": 2.0,
        "tail": "no",
    }  # fmt: skip
    assert (killed["signal"], killed["reason"]) == (9, "Signal")
    assert (unseen["exit_code"], unseen["reason"], unseen["lived_s"]) == (None, "Unobserved", None)


@pytest.mark.parametrize("alive", [True, False])
def test_since_survives_passes(alive: bool) -> None:
    first, _ = shown(desired(PRESS), report(ONE), alive=alive)
    earlier = {"conditions": [{**c, "since": 1.0} for c in first["conditions"]]}
    again, _ = shown(desired(PRESS), report(ONE), alive=alive, previous=earlier)
    assert {c["since"] for c in again["conditions"]} == {1.0}


def test_a_first_cycle_is_awaited_before_ready() -> None:
    status, whole = shown(desired(PRESS), report(ONE, cycled=False, held=Trouble("X", "m", 1.0)), alive=True)
    assert (status["health"], whole) == ("down", False)


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.booleans(),
            st.booleans(),
            st.sampled_from((0.0, 1.0, 100.0)),
            st.integers(0, 1),
            st.integers(0, 1),
            st.integers(0, 1),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_what_is_described_after_other_passes_is_what_would_be_described_anew(
    passes: list[tuple[bool, bool, bool, float, int, int, int]],
) -> None:
    want = desired(PRESS, PLANT)
    told, before = Descriptions(NODE, {}), None
    kept: dict[object, Any] = {}  # what says the same is the very same object, as between real looks
    now = NOW
    for alive, sending, connected, later, reads, used, delivered in passes:
        now += later
        wall = WALL + now - NOW
        devices = (DeviceReport("a", "h:502/1", connected=connected, reads=reads),)
        press = replace(ONE, cpu_percent=float(used), memory_bytes=used)
        told_of = report(
            ONE,
            devices=devices,
            points={"plant": Points(reads, queued=reads)},
            points_per_second=float(used),
            buffer=BufferReport(reads, 10, 700.0 * used),
        )
        sent = report(SENDER, monotonic_s=NOW + 1, points={"press": Points(delivered, delivered=delivered)})
        lives = {"press": kept.setdefault(("press", used), (press,))} if alive else {}
        sends = {"plant": kept.setdefault("plant", (SENDER,))} if sending else {}
        seen = Observed(
            BOOT,
            instances={**lives, **sends},
            reports={
                "press": kept.setdefault((connected, reads, used), told_of),
                "plant": kept.setdefault(("sent", delivered), sent),
            },
        )
        before = plan(want, seen, {}, now, wall=wall, node=NODE, passes_since=LONG_AGO, before=before)
        anew = {
            step.name: process_status(
                step,
                want,
                seen,
                History(),
                node=NODE,
                now=now,
                wall=wall,
                previous=told.statuses.get(step.name),
            )
            for step in before.steps
        }
        told.update(before, want, seen, {}, now=now, wall=wall, pauses={})
        assert told.statuses == anew
