from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import StateDir
from reconciler import events
from reconciler.events import EventLog
from reconciler.model import Termination
from reconciler.news import News, of_end, of_passes

AT = 1_800_000_000.0


def status(*true: str, pid: int | None = 7, connected: bool = True) -> dict[str, Any]:
    conditions = [{"type": kind, "status": "True", "message": f"why {kind}"} for kind in true]
    device = {"name": "d", "endpoint": "h:502/1", "connected": connected, "last_error": "timed out"}
    return {"name": "press", "pid": pid, "health": "down", "conditions": conditions, "devices": [device]}


def document(*processes: dict[str, Any], converged: bool = True, **source: Any) -> dict[str, Any]:
    return {
        "processes": list(processes),
        "converged": converged,
        "source": {"applied": None, "error": None} | source,
    }


def reasons(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [news.reason for news in of_passes(before, after)]


def test_what_lasts_is_told_once() -> None:
    held = document(status("Stalled", "Paused", connected=False), converged=False, error="bad", applied="abc")
    assert reasons(held, held) == []


@pytest.mark.parametrize(
    ("kind", "begun", "over"),
    [
        ("Stalled", "Held", "Released"),
        ("ManifestInvalid", "ManifestBroken", "ManifestMended"),
        ("Paused", "Paused", "Resumed"),
        ("PruneBlocked", "PruneBlocked", "PruneUnblocked"),
        ("DataHeld", "DataHeld", "DataFlows"),
    ],
)
def test_the_beginning_and_the_end_of_a_condition_are_told(kind: str, begun: str, over: str) -> None:
    without, having = document(status()), document(status(kind))
    assert reasons(without, having) == [begun]
    assert reasons(having, without) == [over]


@pytest.mark.parametrize(
    ("kind", "true", "reason", "events"),
    [
        ("DataHeld", "True", "DataDropped", ["DataDropped"]),
        ("Healthy", "False", "DataRejected", ["DataRejected"]),
        ("Healthy", "False", "OutboxDamaged", ["OutboxDamaged"]),
        ("Healthy", "False", "DiskFull", ["DiskFull"]),
    ],
)
def test_a_new_reason_for_what_already_lasts_is_told(
    kind: str, true: str, reason: str, events: list[str]
) -> None:
    def because(why: str) -> dict[str, Any]:
        condition = {"type": kind, "status": true, "reason": why, "message": "m"}
        return document({**status(), "conditions": [condition]})

    assert reasons(because("ConnectionFailed"), because(reason)) == events


def test_a_device_is_lost_and_back_only_while_one_process_runs() -> None:
    on, off = document(status()), document(status(connected=False))
    assert reasons(on, off) == ["DeviceLost"]
    assert reasons(off, on) == ["DeviceBack"]
    assert reasons(on, document(status(pid=8, connected=False))) == []
    assert reasons(on, document(status(pid=None, connected=False))) == []


def test_revisions_errors_and_convergence_are_told_of_the_plant() -> None:
    before = document(applied="a")
    assert reasons(before, document(applied="b", error="broken", converged=False)) == [
        "RevisionApplied",
        "SourceError",
        "NotConverged",
    ]
    assert reasons({}, document()) == ["Converged"]


def test_an_end_tells_how_and_the_last_line_of_its_output() -> None:
    end = Termination("press", "i", "d", 3, None, "wait", AT, 1.0, tail="first\nValueError: no such tag")
    assert of_end(end, 2.0).message == "exited with 3; next start in 2.0 s: ValueError: no such tag"


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path)


def test_numbers_go_on_over_writers_without_a_gap(state: StateDir) -> None:
    for _ in range(3):
        EventLog(state).append([News("A", "a", "x"), News("B", "b")], AT)
    assert [e["number"] for e in EventLog(state).read()] == [1, 2, 3, 4, 5, 6]
    assert [e["number"] for e in EventLog(state).read(after=3, name="x")] == [5]


def test_half_a_line_of_a_writer_that_died_costs_only_itself(state: StateDir) -> None:
    EventLog(state).append([News("A", "a")], AT)
    with (state.root / "events.ndjson").open("ab") as file:
        file.write(b'{"number": 2, "at"')
    EventLog(state).append([News("B", "b")], AT)
    assert [(e["number"], e["reason"]) for e in EventLog(state).read()] == [(1, "A"), (2, "B")]


def test_the_disk_they_take_is_capped_and_the_newest_stay(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "FILE_BYTES", 2000)
    log = EventLog(state)
    for _ in range(200):
        log.append([News("A", "something happened")], AT)
    numbers = [e["number"] for e in log.read()]
    assert numbers == list(range(numbers[0], 201))
    assert sum(p.stat().st_size for p in state.root.iterdir()) < 4500


def test_an_event_is_one_json_object_a_line(state: StateDir) -> None:
    EventLog(state).append([News("A", "two\nlines", "x")], AT)
    (line,) = (state.root / "events.ndjson").read_text().splitlines()
    assert json.loads(line) == {"number": 1, "at": AT, "name": "x", "reason": "A", "message": "two\nlines"}
