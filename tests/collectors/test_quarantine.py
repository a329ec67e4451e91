from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.blocks import group, places
from collectors.model import Address, Block, Limits, RefusedError, Tag, UnsupportedError
from collectors.quarantine import AGAIN_AFTER_S, EXTRA_REQUESTS, Quarantine, divide

LIMITS = Limits(125, 2000, 8)
REFUSED = RefusedError("IllegalDataAddress", "cannot read it")


def tag(name: str, at: int, width: int = 1, count: int = 1, every: int = 1) -> Tag:
    fields = tuple(f"{name}_{i}" for i in range(count))
    return Tag(
        name, Address("holding", at), f"holding:{at}", "int16", width, fields, count=count, every=every
    )


def row(count: int) -> list[Tag]:
    return [tag(f"t{i}", i) for i in range(count)]


class World:
    """A device that refuses some addresses (or blocks), and a quarantine that learns it."""

    def __init__(self, tags: list[Tag], refuses: Callable[[Block], bool]) -> None:
        self.tags = tags
        self.refuses = refuses
        self.quarantine = Quarantine()
        self.now = 0.0
        self.error = REFUSED

    def cycle(self) -> tuple[int, set[str]]:
        """How many requests a cycle takes, and the tags that it reads."""
        quarantine = self.quarantine
        quarantine.forget(self.now)
        left = list(group(self.tags, LIMITS, without=quarantine.keys, cuts=quarantine.cuts()))
        if again := quarantine.again({1}, self.now):
            left.append(again)
        sent, extra, complete = 0, 0, True
        read: set[str] = set()
        while left:
            block = left.pop(0)
            sent += 1
            if not self.refuses(block):
                quarantine.given(block)
                read |= {place.tag.name for place in places(block)}
                continue
            halves = quarantine.refused(block, self.error, 1000.0 + self.now, self.now)
            extra += len(halves)
            if extra > EXTRA_REQUESTS:
                complete = False
            else:
                left[:0] = halves
        if complete:
            quarantine.settle()
        self.now += 1
        return sent, read

    def quarantined(self) -> set[str]:
        return {entry.tag for entry in self.quarantine.report()}


def touching(bad: Iterable[int]) -> Callable[[Block], bool]:
    return lambda block: any(block.start <= at < block.start + block.count for at in bad)


@pytest.mark.parametrize("bad", [0, 1, 61, 62, 63, 100, 124])
def test_one_bad_register_in_125_costs_15_requests_at_most_and_no_good_tag_a_cycle(bad: int) -> None:
    world = World(row(125), touching([bad]))
    sent, read = world.cycle()
    assert sent <= 1 + 15
    assert read == {f"t{i}" for i in range(125) if i != bad}
    assert world.quarantined() == {f"t{bad}"}
    sent, read = world.cycle()
    assert sent == (1 if bad in (0, 124) else 2)
    assert len(read) == 124


def test_a_bad_register_that_nobody_reads_quarantines_no_tag() -> None:
    world = World([t for t in row(125) if t.address.offset != 40], touching([40]))
    sent, read = world.cycle()
    assert len(read) == 124
    assert sent <= 16
    assert world.quarantined() == set()
    assert world.cycle() == (2, read)


def test_a_device_that_gives_less_at_once_than_its_limits_say_is_read_in_more_requests() -> None:
    world = World(row(125), lambda block: block.count > 30)
    for _ in range(4):
        _, read = world.cycle()
        assert len(read) == 125
    sent, _ = world.cycle()
    assert sent <= 9
    assert world.quarantined() == set()


def test_where_everything_is_refused_the_requests_of_a_cycle_stay_bounded_and_it_ends() -> None:
    world = World(row(125), lambda block: True)
    total = 0
    for _ in range(12):
        sent, read = world.cycle()
        total += sent
        assert not read
    assert len(world.quarantined()) == 125
    assert total <= 2 * 125
    assert world.cycle()[0] == 0


def test_what_is_not_supported_at_all_is_never_asked_for_again() -> None:
    world = World(row(20), lambda block: True)
    world.error = UnsupportedError("IllegalFunction", "cannot read it")
    assert world.cycle()[0] == 1
    assert len(world.quarantined()) == 20
    world.now += 100 * AGAIN_AFTER_S
    assert world.cycle()[0] == 0


def test_after_ten_minutes_a_value_is_asked_for_once_more_alone() -> None:
    bad = [7]
    world = World(row(20), touching(bad))
    world.cycle()
    (entry,) = world.quarantine.report()
    assert (entry.tag, entry.address, entry.reason, entry.since) == (
        "t7",
        "holding:7",
        REFUSED.reason,
        1000.0,
    )
    world.now = AGAIN_AFTER_S - 1
    assert world.cycle()[0] == 2
    assert world.cycle()[0] == 3
    assert world.cycle()[0] == 2
    assert world.quarantine.report() == (entry,)
    bad.clear()
    world.now += AGAIN_AFTER_S
    assert world.cycle() == (3, {f"t{i}" for i in range(20)})
    assert world.cycle()[0] == 1
    assert world.quarantine.report() == ()


def test_of_many_values_only_one_is_asked_for_again_in_a_cycle() -> None:
    world = World(row(40), lambda block: True)
    for _ in range(10):
        world.cycle()
    world.now += AGAIN_AFTER_S
    assert [world.cycle()[0] for _ in range(5)] == [1] * 5


def test_a_cut_is_forgotten_after_ten_minutes() -> None:
    world = World(row(125), lambda block: block.count > 100)
    world.cycle()
    assert world.cycle()[0] == 2
    world.refuses = lambda block: False
    world.now += AGAIN_AFTER_S
    assert world.cycle()[0] == 1


def test_a_text_with_one_bad_word_is_quarantined_whole_and_its_neighbours_are_read() -> None:
    tags = [tag("a", 0), tag("text", 1, width=10), tag("b", 11), tag("inside", 3)]
    world = World(tags, touching([7]))
    for _ in range(3):
        _, read = world.cycle()
    assert read == {"a", "b", "inside"}
    assert world.quarantined() == {"text"}


def test_of_an_array_only_the_bad_value_is_left_out() -> None:
    world = World([tag("a", 0, width=2, count=10)], touching([9]))
    world.cycle()
    blocks = group(world.tags, LIMITS, without=world.quarantine.keys, cuts=world.quarantine.cuts())
    assert [(b.start, b.count, b.pieces[0].first) for b in blocks] == [(0, 8, 0), (10, 10, 5)]


def test_two_tags_at_one_bad_address_are_quarantined_together() -> None:
    world = World([tag("a", 5), tag("b", 5), tag("c", 6)], touching([5]))
    assert world.cycle()[1] == {"c"}
    assert world.quarantined() == {"a", "b"}


spans = st.tuples(st.integers(0, 150), st.integers(1, 4), st.integers(1, 3))


@given(drawn=st.lists(spans, min_size=1, max_size=30), bad=st.sets(st.integers(0, 160), max_size=5))
def test_whatever_is_bad_in_the_end_all_good_values_are_read_and_only_they(
    drawn: list[tuple[int, int, int]], bad: set[int]
) -> None:
    world = World([tag(f"t{i}", *span) for i, span in enumerate(drawn)], touching(bad))
    for _ in range(40):
        world.cycle()
    sent, read = world.cycle()
    good = {
        t.name
        for t in world.tags
        for n in range(t.count)
        if not bad & set(range(t.address.offset + n * t.width, t.address.offset + (n + 1) * t.width))
    }
    assert read == good
    assert world.quarantined() >= {t.name for t in world.tags} - good
    assert sent <= len(group(world.tags, LIMITS)) + 2 * (len(bad) + len(world.quarantine.keys))


@given(drawn=st.lists(spans, min_size=1, max_size=20))
def test_halves_hold_every_value_once_and_are_smaller(drawn: list[tuple[int, int, int]]) -> None:
    for whole in group([tag(f"t{i}", *span) for i, span in enumerate(drawn)], LIMITS):
        halves = divide(whole)
        if halves:
            keys = [place.key for half in halves for place in places(half)]
            assert sorted(keys) == sorted(place.key for place in places(whole))
            assert all(len(places(half)) < len(places(whole)) for half in halves)
        else:
            assert len({place[:3] for place in places(whole)}) == 1
