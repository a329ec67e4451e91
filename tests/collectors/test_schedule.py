from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.schedule import MINUTE_NS, Slots, clock_step_ns, is_due

times = st.integers(1_700_000_000 * 10**9, 1_900_000_000 * 10**9)
intervals = st.integers(10, 7_200_000)


@given(name=st.text(min_size=1), interval_ms=intervals, at_ns=times)
def test_a_time_lies_in_its_slot(name: str, interval_ms: int, at_ns: int) -> None:
    slots = Slots.of(name, interval_ms)
    index = slots.index(at_ns)
    assert slots.at(index) <= at_ns < slots.at(index + 1)


@given(name=st.text(min_size=1), minutes=st.integers(1, 600), at_ns=times)
def test_from_a_minute_on_slots_are_exact_multiples(name: str, minutes: int, at_ns: int) -> None:
    slots = Slots.of(name, minutes * 60_000)
    assert slots.at(slots.index(at_ns)) % (minutes * MINUTE_NS) == 0


def test_below_a_minute_the_name_fixes_the_phase() -> None:
    phases = {Slots.of(f"press-{i}", 1000).phase_ns for i in range(50)}
    assert len(phases) > 40
    assert all(0 <= phase < 10**9 for phase in phases)
    assert Slots.of("press-1", 1000) == Slots.of("press-1", 1000)


@given(name=st.text(min_size=1), interval_ms=intervals, at_ns=times, ahead=st.integers(-3, 1000))
def test_no_wait_is_longer_than_one_interval(name: str, interval_ms: int, at_ns: int, ahead: int) -> None:
    slots = Slots.of(name, interval_ms)
    wait_ns = slots.wait_ns(slots.index(at_ns) + ahead, at_ns)
    assert 0 <= wait_ns <= slots.interval_ns
    assert (wait_ns == 0) == (slots.at(slots.index(at_ns) + ahead) <= at_ns)


@given(every=st.integers(1, 100), start=st.integers(0, 10**9), steps=st.lists(st.integers(1, 7), min_size=1))
def test_a_slow_tag_is_read_once_for_each_of_its_slots_that_came(
    every: int, start: int, steps: list[int]
) -> None:
    assert is_due(every, start, None)
    previous = start
    for step in steps:
        index = previous + step
        crossed = any(slot % every == 0 for slot in range(previous + 1, index + 1))
        assert is_due(every, index, previous) == crossed
        previous = index


def test_only_a_clock_that_was_set_counts_as_a_step() -> None:
    assert clock_step_ns(10_000_000_000, 9_999_000_000) == 0
    assert clock_step_ns(3_610_000_000_000, 10_000_000_000) == 3_600_000_000_000
    assert clock_step_ns(-5_000_000_000, 1_000_000_000) == -6_000_000_000
