"""Which host runs what, and what a move between hosts must not do."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from reconciler.fleet.asking import ask_all
from reconciler.fleet.nodes import FleetError, doubts, moves, parse_fleet, placement
from tests.reconciler.given import desired, manifest

NORTH, SOUTH = {"site": "north"}, {"site": "south"}
FLEET = parse_fleet(
    {
        "a": {"url": "http://10.0.0.1:8000/", "labels": NORTH, "token": {"env": "A"}},
        "b": {"url": "https://10.0.0.2:8000", "labels": SOUTH},
        "c": {"url": "http://10.0.0.3:8000", "labels": {**SOUTH, "line": "2"}},
    }
)


def device(host: str) -> dict[str, Any]:
    return {"type": "modbus", "devices": [{"host": host}]}


def test_each_collector_runs_where_its_selector_matches() -> None:
    found = desired(
        manifest("north", nodeSelector=NORTH),
        manifest("two", nodeSelector={"line": "2"}),
        manifest("off", state="stopped"),
    )
    assert {m.name: nodes for m, nodes in placement(found, FLEET)} == {"north": ("a",), "two": ("c",)}
    assert not list(doubts(found, FLEET))


def test_what_no_node_or_several_would_run_is_told() -> None:
    found = desired(
        manifest("lost", nodeSelector={"site": "east"}, **device("h")),
        manifest("twice", nodeSelector=SOUTH, **device("h")),
        manifest("all", **device("h")),
    )
    told = list(doubts(found, FLEET))
    assert [line.partition(":")[0] for line in told] == ["all", "lost", "twice"]
    assert "no nodeSelector" in told[0]
    assert "site=east matches none of 3" in told[1]
    assert "2 nodes run it (b, c)" in told[2]


def test_a_move_in_one_commit_is_warned_of_and_in_two_it_is_not() -> None:
    here = manifest("a", nodeSelector=NORTH)
    stopped = manifest("a", nodeSelector=NORTH, state="stopped")
    there = manifest("a", nodeSelector=SOUTH)
    (warning,) = moves(desired(here), desired(there))
    assert "commit state: stopped first" in warning
    assert not list(moves(desired(here), desired(stopped)))
    assert not list(moves(desired(stopped), desired(there)))


def test_a_rename_onto_another_host_that_reads_the_same_device_is_a_move() -> None:
    before = desired(manifest("old", nodeSelector=NORTH, **device("10.0.0.9")))
    same = desired(manifest("new", nodeSelector=SOUTH, **device("10.0.0.9")))
    other = desired(manifest("new", nodeSelector=SOUTH, **device("10.0.0.8")))
    (warning,) = moves(before, same)
    assert "old becomes new" in warning
    assert not list(moves(before, other))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "no mapping"),
        ({}, "no mapping"),
        ({"a": {}}, "a: has no url"),
        ({"a": {"url": "ftp://x"}}, "no http"),
        ({"a": {"url": "http://x", "lables": {}}}, "lables is unknown"),
        ({"a": {"url": "http://x", "labels": {"n": 1}}}, "quotes"),
        ({"a": {"url": "http://x", "token": "hunter2"}}, "never stands here"),
    ],
)
def test_a_wrong_fleet_file_is_told_where(value: Any, message: str) -> None:
    with pytest.raises(FleetError, match=message):
        parse_fleet(value)


def test_a_host_that_refuses_is_not_said_to_be_silent(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    (answer,) = ask_all(parse_fleet({"edge": {"url": url}}), tmp_path)
    assert answer.error == f"cannot reach {url}: Connection refused"
