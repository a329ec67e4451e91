"""Which requests read a set of tags: as few as limits and gap allow. Pure.

Values are taken in the order of their addresses, and each joins the open block while it fits. That is the
fewest possible: a block must begin at the first value not yet covered, and none could reach further.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from collectors.model import Block, Limits, Piece, Tag


def group(tags: Iterable[Tag], limits: Limits) -> tuple[Block, ...]:
    """The blocks that cover all values of `tags`, each within `limits`, no value split, by area and address.

    Raises ValueError for a value longer than a request may be.
    """
    values = sorted(_values(tags), key=lambda v: (v[0], v[1], v[2]))
    blocks: list[Block] = []
    for (area, unit), members in groupby(values, key=lambda v: (v[3].address.area, v[3].address.unit)):
        longest = limits.words if unit == "word" else limits.bits
        run: list[tuple[int, Tag, int]] = []
        start = end = 0
        for _, first, last, tag, index in members:
            if last - first > longest:
                raise ValueError(f"cannot read {tag.name}: one value is longer than a request of {longest}")
            if run and (last - start > longest or first - end > limits.gap):
                blocks.append(Block(area, unit, start, end - start, _pieces(run, start)))
                run = []
            if not run:
                start, end = first, last
            end = max(end, last)
            run.append((first, tag, index))
        blocks.append(Block(area, unit, start, end - start, _pieces(run, start)))
    return tuple(blocks)


def _values(tags: Iterable[Tag]) -> Iterator[tuple[str, int, int, Tag, int]]:
    """Area, first and last + 1 address, tag and index of every value."""
    for tag in tags:
        for index in range(tag.count):
            first = tag.address.offset + index * tag.width
            yield tag.address.area, first, first + tag.width, tag, index


def _pieces(run: Iterable[tuple[int, Tag, int]], start: int) -> tuple[Piece, ...]:
    """Values of one tag that follow each other become one piece."""
    by_tag: dict[str, list[tuple[int, Tag, int]]] = {}
    for value in run:
        by_tag.setdefault(value[1].name, []).append(value)
    return tuple(
        Piece(tag=values[0][1], offset=values[0][0] - start, first=values[0][2], count=len(values))
        for values in by_tag.values()
    )
