"""One line of the report, and the way its two times are taken: in turns, so that both meet the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

ROUNDS = 7


class Goal(NamedTuple):
    """What is to be reached: `at_most` in the unit of the row, or so many `times` better than the baseline, or both."""

    at_most: float | None = None
    times: float | None = None


class Row(NamedTuple):
    """What ours and the baseline take; less is better. `what` and `baseline` say what was done.

    The unit is seconds per operation, or MiB, or % of a core, or a count.
    """

    what: str
    baseline: str
    ours: float
    theirs: float
    unit: str = "s"
    goal: Goal | None = None

    @property
    def times(self) -> float:
        """How many times as much the baseline takes."""
        return self.theirs / self.ours if self.ours else float("inf")

    @property
    def is_met(self) -> bool:
        """Whether there is no goal, or it is reached."""
        at_most, times = self.goal or Goal()
        return (at_most is None or self.ours <= at_most) and (times is None or self.times >= times)

    @property
    def wanted(self) -> str:
        """The goal in words; empty where there is none."""
        at_most, times = self.goal or Goal()
        words = [f"≤ {shown(at_most, self.unit)}"] if at_most is not None else []
        return ", ".join([*words, *([f"≥ {times:g}×"] if times is not None else [])])


def shown(value: float, unit: str) -> str:
    """Three digits, in the unit that suits."""
    if unit != "s":
        return f"{value:.3g} {unit}" if value < 100 else f"{value:,.0f} {unit}"
    power = next((p for p in (0, 3) if abs(value) * 10**p >= 1), 6)
    return f"{value * 10**power:.3g} { {0: 's', 3: 'ms', 6: 'µs'}[power] }"


def repeated(work: Callable[[], object]) -> Callable[[int], None]:
    """Does `work` as often as told."""

    def repeat(times: int) -> None:
        for _ in range(times):
            work()

    return repeat


def side_by_side(
    ours: Callable[[int], object],
    baseline: Callable[[int], object],
    operations: int,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Median seconds per operation of two callables that do as many operations as they are told, in turns."""

    def timed(work: Callable[[int], object]) -> float:
        begin = clock()
        work(operations)
        return (clock() - begin) / operations

    timed(ours), timed(baseline)
    pairs = [(timed(ours), timed(baseline)) for _ in range(ROUNDS)]
    return median(a for a, _ in pairs), median(b for _, b in pairs)


def p99(values: list[float]) -> float:
    """The largest of fewer than a hundred."""
    return sorted(values)[int(len(values) * 0.99)]
