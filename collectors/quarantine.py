"""What a device refuses, narrowed down until only that is left out. Pure.

A refused block is cut in two, and each half asked for instead, until single values are refused: those are in
quarantine, and the rest is read around them. Where both halves are given though the whole was not, the fault
lies between them, or the whole was too long: the cut stays. After ten minutes a cut is forgotten, and a value
is asked for once more, alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Container, Sequence
from math import inf
from typing import NamedTuple

from collectors.blocks import Place, block, places
from collectors.contract import Quarantined
from collectors.model import Block, RefusedError, UnsupportedError

AGAIN_AFTER_S = 600.0

EXTRA_REQUESTS = 15
"""Spent on halves by one device in one cycle; what is left over is asked for in the next."""


Span = tuple[str, int, int]
"""Area, first address and the one behind the last."""


class Case(NamedTuple):
    """A value in quarantine; ``since`` is epoch seconds, ``again_at`` monotonic (infinite: never)."""

    place: Place
    reason: str
    since: float
    again_at: float


class Cut(NamedTuple):
    """Made in a refused block; no request reaches over it before the monotonic time ``until``."""

    block: Block
    at: int
    until: float


class Quarantine:
    """What one device refuses; ``now`` is monotonic seconds."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, int], Case] = {}
        self._cuts: list[Cut] = []
        self._unsettled = False

    @property
    def keys(self) -> Collection[tuple[str, int]]:
        """The values that are not to be asked for."""
        return self._cases

    def cuts(self) -> frozenset[tuple[str, int]]:
        """Area and address that no request may reach over: all those of a value in quarantine among them."""
        places = (case.place for case in self._cases.values())
        around = ((area, at) for area, first, end, *_ in places for at in range(first + 1, end + 1))
        return frozenset((cut.block.area, cut.at) for cut in self._cuts).union(around)

    def refused(self, refused: Block, error: RefusedError, since: float, now: float) -> tuple[Block, ...]:
        """The halves to ask for instead; none where the values of the block are in quarantine now."""
        self._unsettled = True
        final = isinstance(error, UnsupportedError)
        halves = () if final else divide(refused)
        if halves:
            self._cuts.append(Cut(refused, halves[1].start, now + AGAIN_AFTER_S))
            return halves
        again_at = inf if final else now + AGAIN_AFTER_S
        for place in places(refused):
            known = self._cases.get(place.key)
            self._cases[place.key] = Case(place, error.reason, known.since if known else since, again_at)
        return ()

    def given(self, given: Block) -> bool:
        """The device gave a block; whether this ended a quarantine."""
        ended = [p.key for p in places(given) if p.key in self._cases] if self._cases else []
        for key in ended:
            del self._cases[key]
        return bool(ended)

    def settle(self) -> bool:
        """Drop the cuts on the way to a narrower one or a case, once each half has been asked for.

        Returns whether anything was refused since the last time.
        """
        unsettled, self._unsettled = self._unsettled, False
        if unsettled:
            cases = sorted(case.place[:3] for case in self._cases.values())
            blocks = sorted(_span(cut.block) for cut in self._cuts)
            self._cuts = [
                cut
                for cut in self._cuts
                if not _holds(cut.block, cases) and not _holds(cut.block, blocks, narrower=True)
            ]
        return unsettled

    def forget(self, now: float) -> bool:
        """Drop the cuts whose time is over; whether there were any."""
        kept = [cut for cut in self._cuts if cut.until > now]
        forgotten = len(kept) < len(self._cuts)
        self._cuts = kept
        return forgotten

    def again(self, periods: Container[int], now: float) -> Block | None:
        """A value to ask for once more, alone, of a tag with one of these periods."""
        for case in self._cases.values():
            if case.again_at <= now and case.place.tag.every in periods:
                return block([case.place])
        return None

    def report(self) -> tuple[Quarantined, ...]:
        """Each tag with a value in quarantine, since the first one."""
        found: dict[str, Quarantined] = {}
        for (name, _), case in self._cases.items():
            known = found.get(name)
            if known is None or case.since < known.since:
                found[name] = Quarantined(name, case.place.tag.text, case.reason, case.since)
        return tuple(found.values())


def divide(whole: Block) -> tuple[Block, ...]:
    """Two blocks of half the values each, the second one further on; or the shorter, and the longest values.

    None where all values are the same words.
    """
    values = places(whole)
    if starts := {p.first for p in values if p.first > whole.start}:
        middle = values[len(values) // 2].first
        cut = min(starts, key=lambda at: (abs(at - middle), at))
        parts = [p for p in values if p.first < cut], [p for p in values if p.first >= cut]
    else:
        parts = [p for p in values if p.end < values[-1].end], [p for p in values if p.end == values[-1].end]
    return tuple(map(block, parts)) if parts[0] else ()


def _span(block: Block) -> Span:
    return block.area, block.start, block.start + block.count


def _holds(block: Block, spans: Sequence[Span], *, narrower: bool = False) -> bool:
    """Whether one of the sorted `spans` lies in a block; or even leaves room in it."""
    area, start, end = own = _span(block)
    for i in range(bisect_left(spans, (area, start)), len(spans)):
        if spans[i][0] != area or spans[i][1] >= end:
            return False
        if spans[i][2] <= end and not (narrower and spans[i] == own):
            return True
    return False
