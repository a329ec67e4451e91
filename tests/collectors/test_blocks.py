from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.blocks import group
from collectors.model import Address, Block, Limits, Tag


def tag(name: str, offset: int, width: int, count: int = 1, area: str = "holding") -> Tag:
    fields = (name,) if count == 1 else tuple(f"{name}_{i}" for i in range(count))
    unit = "bit" if area == "coil" else "word"
    address = Address(area, offset, "bit" if unit == "bit" else "word")
    return Tag(name, address, f"{area}:{offset}", "int16", width, fields, count=count)


spans = st.tuples(st.integers(0, 40), st.integers(1, 4), st.integers(1, 3))
tag_sets = st.lists(spans, min_size=1, max_size=8).map(
    lambda drawn: [tag(f"t{i}", *span) for i, span in enumerate(drawn)]
)
limit_sets = st.builds(Limits, words=st.integers(4, 12), bits=st.just(16), gap=st.integers(0, 6))


def covered(blocks: tuple[Block, ...]) -> dict[str, list[tuple[int, int]]]:
    """Index and zero-based address of every value, by tag."""
    found: dict[str, list[tuple[int, int]]] = {}
    for block in blocks:
        for piece in block.pieces:
            for i in range(piece.count):
                at = block.start + piece.offset + i * piece.tag.width
                assert block.start <= at
                assert at + piece.tag.width <= block.start + block.count
                found.setdefault(piece.tag.name, []).append((piece.first + i, at))
    return found


@given(tags=tag_sets, limits=limit_sets)
def test_every_value_is_read_whole_and_once(tags: list[Tag], limits: Limits) -> None:
    found = covered(group(tags, limits))
    assert found.keys() == {t.name for t in tags}
    for t in tags:
        assert sorted(found[t.name]) == [(i, t.address.offset + i * t.width) for i in range(t.count)]


@given(tags=tag_sets, limits=limit_sets)
def test_no_request_is_longer_than_allowed_or_spans_a_wider_gap(tags: list[Tag], limits: Limits) -> None:
    for block in group(tags, limits):
        assert block.count <= limits.words
        wanted = {
            block.start + piece.offset + i
            for piece in block.pieces
            for i in range(piece.count * piece.tag.width)
        }
        assert min(wanted) == block.start
        assert max(wanted) == block.start + block.count - 1
        assert all(b - a - 1 <= limits.gap for a, b in pairwise(sorted(wanted)))


@given(tags=tag_sets, limits=limit_sets)
def test_no_other_grouping_needs_fewer_requests(tags: list[Tag], limits: Limits) -> None:
    values = sorted(
        {
            (t.address.offset + i * t.width, t.address.offset + (i + 1) * t.width)
            for t in tags
            for i in range(t.count)
        }
    )

    @cache
    def fewest(left: tuple[tuple[int, int], ...]) -> int:
        """By trying every end for the request that holds the first value."""
        if not left:
            return 0
        start, best = left[0][0], len(left)
        for end in {last for _, last in left if last - start <= limits.words}:
            inside = [v for v in left if v[1] <= end]
            reach = start
            for first, last in inside:
                if first - reach > limits.gap:
                    break
                reach = max(reach, last)
            else:
                best = min(best, 1 + fewest(tuple(v for v in left if v[1] > end)))
        return best

    assert len(group(tags, limits)) == fewest(tuple(values))


def test_an_array_longer_than_a_request_is_read_in_several() -> None:
    blocks = group([tag("a", 0, 2, 100)], Limits(125, 2000, 8))
    assert [(b.start, b.count, b.pieces[0].first, b.pieces[0].count) for b in blocks] == [
        (0, 124, 0, 62),
        (124, 76, 62, 38),
    ]


def test_areas_and_units_are_never_mixed() -> None:
    blocks = group(
        [tag("w", 0, 1), tag("i", 0, 1, area="input"), tag("c", 1, 1, area="coil")], Limits(125, 2000, 8)
    )
    assert {(b.area, b.unit) for b in blocks} == {("holding", "word"), ("input", "word"), ("coil", "bit")}


def test_a_value_longer_than_a_request_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot read long: one value is longer than a request of 4"):
        group([tag("long", 0, 5)], Limits(4, 16, 0))
