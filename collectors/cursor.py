"""Where a sink stands in an outbox. Pure.

A sender settles rows from both ends of an outbox (sender.py says why), several requests at a time. So a
:class:`Cursor` is a position, up to which all is settled, and the ranges behind it that are settled already
or on their way; ranges grow together, and into the position, as what lies between is settled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

LAST = 2**63 - 1
"""Behind every row there will ever be."""

Rows = tuple[int, int]
"""The ids of a first and a last row, and all between them."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Rows up to `position` and those in the ranges `ahead` are settled; `flights` are being sent.

    `delivered` and `rejected` count points. `damaged` is the inode of an outbox file that could not be read whole.
    """

    position: int = 0
    delivered: int = 0
    rejected: int = 0
    ahead: tuple[Rows, ...] = ()
    flights: tuple[Rows, ...] = ()
    damaged: int = 0

    @property
    def settled(self) -> int:
        """Points that are; grows with every acknowledgement."""
        return self.delivered + self.rejected

    def passed(self, row: int) -> bool:
        """Whether the row is settled."""
        return row <= self.position or any(first <= row <= last for first, last in self.ahead)

    def sending(self, row: int) -> bool:
        """Whether the row is on its way to the sink."""
        return any(first <= row <= last for first, last in self.flights)

    @property
    def seen(self) -> int:
        """The newest row that was ever taken."""
        return max([self.position, *(last for _, last in (*self.ahead, *self.flights))])

    def gaps(self) -> list[Rows]:
        """What is neither settled nor on its way, oldest first; the last gap has no end."""
        found, after = [], self.position
        for first, last in sorted((*self.ahead, *self.flights)):
            if first > after + 1:
                found.append((after + 1, first - 1))
            after = max(after, last)
        return [*found, (after + 1, LAST)]

    def take_off(self, rows: Iterable[Rows]) -> Cursor:
        """The same with `rows` on their way."""
        return replace(self, flights=(*self.flights, *rows))

    def settle(self, rows: Iterable[Rows], delivered: int, rejected: int) -> Cursor:
        """The same with `rows`, that were on their way, settled."""
        landed = set(rows)
        position, ahead = self.position, list[Rows]()
        for first, last in sorted((*self.ahead, *landed)):
            if first <= position + 1:
                position = max(position, last)
            elif ahead and first <= ahead[-1][1] + 1:
                ahead[-1] = ahead[-1][0], max(last, ahead[-1][1])
            else:
                ahead.append((first, last))
        flights = tuple(f for f in self.flights if f not in landed)
        return Cursor(
            position,
            self.delivered + delivered,
            self.rejected + rejected,
            tuple(ahead),
            flights,
            self.damaged,
        )
