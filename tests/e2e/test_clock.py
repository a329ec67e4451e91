"""The wall clock is set by an hour while a plant runs: nothing restarts, nothing stops, and it is told once."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.clock import SettableClock
from tests.e2e.plant import Plant, collector, sleeper
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

HOUR_S = 3600
PAUSED = ("paused-a-while", "paused-long")


@pytest.fixture
def clock(plant: Plant) -> SettableClock:
    clock = SettableClock(plant.root)
    plant.environ |= clock.environ
    return clock


@pytest.fixture
def pids(plant: Plant, clock: SettableClock) -> Iterator[dict[str, list[int]]]:
    """A collector, a program and two that are paused, for half an hour and for two; none may restart."""
    environ = f"  env: {json.dumps(clock.environ)}\n"
    plant.write("press.yaml", collector("press", plant.device(), extra=environ))
    for name in ("program", *PAUSED):
        plant.write(f"{name}.yaml", sleeper(name, environ))
    names = ("press", "program", *PAUSED)
    plant.start_loop()
    plant.wait_ready(*names, "local")
    plant.daq("pause", PAUSED[0], "--for", "30m", "--reason", "test")
    plant.daq("pause", PAUSED[1], "--for", "2h", "--reason", "test")
    before = {name: plant.pids(name) for name in names}
    yield before
    assert {name: plant.pids(name) for name in names} == before
    assert all(plant.status(name)["restart_count"] == 0 for name in names)


def told(plant: Plant, reason: str) -> list[str]:
    lines = plant.daq("events", "-o", "json", "-n", "1000").stdout.splitlines()
    return [e["message"] for e in map(json.loads, lines) if e["reason"] == reason]


def newest_s(plant: Plant) -> float:
    query = "SELECT max(ts_ns) FROM samples WHERE quality IS NULL OR quality = 'good'"
    return (
        max((newest or 0 for (newest,) in plant.rows(query)), default=0) / 1e9
    )  # no table before the first reading


def late(plant: Plant) -> int:
    return int(plant.status("press")["devices"][0]["late_cycles"])


def is_paused(plant: Plant, name: str) -> bool:
    return bool(plant.condition(name, "Paused"))


def test_a_clock_set_forward_ends_the_pauses_that_are_over_by_it(
    plant: Plant, clock: SettableClock, pids: dict[str, list[int]]
) -> None:
    before = late(plant)
    clock.set(HOUR_S)
    wait_until(lambda: newest_s(plant) > clock.now - 60, "readings of the new hour")
    wait_until(lambda: not is_paused(plant, PAUSED[0]), "the shorter pause to run out")
    assert is_paused(plant, PAUSED[1])
    assert [m.startswith("the clock was set by +3600") for m in told(plant, "ClockSet")] == [True]
    assert not plant.condition("press", "ClockBehind")
    assert late(plant) - before < 20, "skipped slots of an hour are no late cycles"


def test_a_clock_set_back_is_a_condition_until_it_has_caught_up(
    plant: Plant, clock: SettableClock, pids: dict[str, list[int]]
) -> None:
    reads = plant.status("press")["devices"][0]["reads"]
    before = late(plant)
    clock.set(-HOUR_S)
    wait_until(lambda: plant.condition("press", "ClockBehind"), "the condition")
    wait_until(lambda: plant.status("press")["devices"][0]["reads"] > reads + 20, "more readings", 30)
    assert plant.condition("press", "Ready")["status"] == "True"
    assert all(is_paused(plant, name) for name in PAUSED)
    assert [m.startswith("the clock was set by -3600") for m in told(plant, "ClockSet")] == [True]
    assert late(plant) - before < 20
    clock.set(0)
    wait_until(lambda: not plant.condition("press", "ClockBehind"), "the clock to have caught up")
    assert all(is_paused(plant, name) for name in PAUSED)
    assert len(told(plant, "ClockBehind")) == len(told(plant, "ClockCaughtUp")) == 1


def test_a_clock_that_stands_before_this_program_was_made_is_told(plant: Plant, clock: SettableClock) -> None:
    clock.set(-10 * 365 * 24 * HOUR_S)
    plant.write(
        "press.yaml", collector("press", plant.device(), extra=f"  env: {json.dumps(clock.environ)}\n")
    )
    plant.start_loop()
    plant.wait_ready("press")
    assert "before this program" in plant.condition("press", "ClockBehind")["message"]
    wait_until(lambda: plant.status("press")["points"]["delivered"], "readings nevertheless", 30)
