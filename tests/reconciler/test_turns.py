from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler.model import Action, History, Instance, Observed, Plan, Step, Stopping
from reconciler.turns import AtOnce, in_turn
from tests.reconciler.given import BOOT, NOW, applied, desired, instance, manifest, report

AT_ONCE = 4
BOUNDS = AtOnce(AT_ONCE, AT_ONCE, AT_ONCE)


def start(name: str) -> Step:
    return Step(name, "Collector", Action.START, "start", "New", "not running yet", manifest(name))


def edit(name: str) -> Step:
    return Step(
        name, "Collector", Action.STOP, "restart", "DigestChanged", "its manifest changed", manifest(name)
    )


def chosen(
    steps: list[Step],
    *alive: Instance,
    past: dict[str, History] | None = None,
    bounds: AtOnce = BOUNDS,
    **more: Any,
) -> list[str]:
    seen = Observed(BOOT, instances={i.name: (i,) for i in alive}, **more)
    return [s.name for s in in_turn(Plan(tuple(steps)), seen, past or {}, NOW, bounds)]


def young(name: str) -> Instance:
    return instance(manifest(name), started=NOW - 0.3)


NAMES = [f"c{n}" for n in range(9)]


def test_a_mass_start_goes_a_few_at_a_time() -> None:
    assert chosen([start(name) for name in NAMES]) == NAMES[:AT_ONCE]


def test_a_restart_of_all_keeps_those_running_whose_turn_has_not_come() -> None:
    assert chosen([edit(name) for name in NAMES]) == NAMES[:AT_ONCE]


def test_more_start_at_once_than_are_stopped_for_their_restart() -> None:
    bounds = BOUNDS._replace(down=2)
    assert chosen([edit(name) for name in NAMES], bounds=bounds) == NAMES[:2]
    assert chosen([edit("a"), edit("b"), start("m")], bounds=bounds) == ["a", "m"]
    assert chosen([edit("a"), *map(start, "mno")], young("x"), bounds=bounds) == ["m", "n", "o"]


def test_those_still_starting_take_the_place_of_others() -> None:
    steps = [start(name) for name in NAMES]
    assert chosen(steps, young("x"), young("y")) == NAMES[:2]
    reporting = young("x")
    assert len(chosen(steps, reporting, reports={"x": report(reporting)})) == AT_ONCE
    assert len(chosen(steps, replace(young("x"), started=NOW - 9))) == AT_ONCE


def test_an_exec_that_has_begun_delays_nobody() -> None:
    job = manifest("x", type="exec")
    given = {"x": applied(job, desired(job))}
    assert len(chosen([start(n) for n in NAMES], instance(job, started=NOW - 0.3), applied=given)) == AT_ONCE


def test_a_slow_stop_delays_nobody() -> None:
    slow = replace(instance(manifest("x")), stopping=Stopping(NOW - 5, NOW + 5, "DigestChanged"))
    quick = replace(slow, stopping=Stopping(NOW - 0.1, NOW + 9, "DigestChanged"))
    assert len(chosen([edit(n) for n in NAMES], slow)) == AT_ONCE
    assert len(chosen([edit(n) for n in NAMES], quick)) == AT_ONCE - 1


def test_a_single_crash_never_waits_behind_a_mass_change() -> None:
    crashed = {"z": History(BOOT, digest="d", failures=1, next_start=NOW - 1)}
    assert chosen([*map(edit, NAMES), start("z")], *map(young, "pqrs"), past=crashed) == ["z"]


def test_what_was_stopped_for_its_restart_comes_before_new_names_and_those_before_edits() -> None:
    past = {"r": History(BOOT, digest="d")}
    steps = [edit("a"), edit("b"), start("m"), start("r")]
    assert chosen(steps, young("x"), young("y"), past=past) == ["m", "r"]
    assert chosen(steps, *map(young, "xyz"), past=past) == ["r"]


def test_stops_kills_and_live_changes_are_never_kept_waiting() -> None:
    stop = replace(start("s"), action=Action.STOP, verdict="stop", reason="Removed")
    sick = replace(start("t"), action=Action.STOP, verdict="restart", reason="ReportStale")
    kill = replace(start("u"), action=Action.KILL, verdict="kill")
    live = replace(start("v"), action=Action.UPDATE, verdict="update")
    assert chosen([stop, sick, kill, live], *map(young, "pqrs")) == ["s", "t", "u", "v"]


@given(st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_everybody_has_a_turn(new: set[str], edited: set[str]) -> None:
    left = {**{n: edit(n) for n in edited}, **{n: start(n) for n in new}}
    for _ in range(9):
        for name in chosen([left[n] for n in sorted(left)]):
            del left[name]
    assert not left
