"""One line of the report, and the way its two times are taken: in turns, so that both meet the same noise."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

ROUNDS = 7


class Row(NamedTuple):
    """Seconds per operation of ours and of the baseline; `ours` and `baseline` say what was done."""

    what: str
    baseline: str
    ours_s: float
    baseline_s: float

    @property
    def ratio(self) -> float:
        """How many times as long ours takes."""
        return self.ours_s / self.baseline_s


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
