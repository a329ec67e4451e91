"""Which requests read a set of tags: as few as limits and gap allow. Pure.

Values are taken in the order of their addresses, and each joins the open block while it fits. That is the
fewest possible: a block must begin at the first value not yet covered, and none could reach further.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from collectors.model import Block, Limits, Piece, Tag


class Place(NamedTuple):
    """One value of a tag: its words (or bits) from ``first`` to before ``end``."""

    area: str
    first: int
    end: int
    tag: Tag
    nth: int

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from the other values of a device."""
        return self.tag.name, self.nth


def group(
    tags: Iterable[Tag],
    limits: Limits,
    *,
    without: Collection[tuple[str, int]] = (),
    cuts: Collection[tuple[str, int]] = (),
) -> tuple[Block, ...]:
    """The blocks that cover all values of `tags`, each within `limits`, no value split, by area and address.

    Values whose key is in `without` are left out; no block reaches over an area's address in `cuts`.
    Raises ValueError for a value longer than a request may be.
    """
    places = sorted((p for p in _places(tags) if p.key not in without), key=lambda p: p[:3])
    blocks: list[Block] = []
    for (here, unit), members in groupby(places, key=lambda p: (p.area, p.tag.address.unit)):
        longest = limits.words if unit == "word" else limits.bits
        cut_at = sorted(at for area, at in cuts if area == here)
        run: list[Place] = []
        start = end = 0
        for place in members:
            _, first, last, tag, _ = place
            if last - first > longest:
                raise ValueError(f"cannot read {tag.name}: one value is longer than a request of {longest}")
            if run and (
                last - start > longest
                or first - end > limits.gap
                or bisect(cut_at, start) < bisect(cut_at, first)
            ):
                blocks.append(block(run))
                run = []
            if not run:
                start, end = first, last
            end = max(end, last)
            run.append(place)
        blocks.append(block(run))
    return tuple(blocks)


def block(places: Sequence[Place]) -> Block:
    """The block that reads these, which are sorted; the values of one tag are one piece."""
    area, start, *_ = places[0]
    by_tag: dict[str, list[Place]] = {}
    for place in places:
        by_tag.setdefault(place.tag.name, []).append(place)
    pieces = tuple(
        Piece(tag=run[0].tag, offset=run[0].first - start, first=run[0].nth, count=len(run))
        for run in by_tag.values()
    )
    return Block(area, places[0].tag.address.unit, start, max(p.end for p in places) - start, pieces)


def places(block: Block) -> list[Place]:
    """The values of a block, sorted."""
    found = [
        Place(block.area, first, first + piece.tag.width, piece.tag, piece.first + i)
        for piece in block.pieces
        for i in range(piece.count)
        for first in [block.start + piece.offset + i * piece.tag.width]
    ]
    return sorted(found, key=lambda p: p[:3])


def _places(tags: Iterable[Tag]) -> Iterator[Place]:
    for tag in tags:
        for nth in range(tag.count):
            first = tag.address.offset + nth * tag.width
            yield Place(tag.address.area, first, first + tag.width, tag, nth)
