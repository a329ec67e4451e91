"""What an outbox counts for each sink. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from collectors.cursor import Cursor
from collectors.outbox.file import points_of

START = Cursor()
NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Tally:
    """What was acquired and dropped for one sink, and where its cursor stood when that was noted last."""

    acquired: int = 0
    dropped: int = 0
    noted: Cursor = START

    def noting(self, cursor: Cursor) -> Tally:
        """The same with that cursor; what turns out to be delivered after all was not dropped."""
        over = max(0, -points_of(self.acquired, self.dropped, cursor).queued)
        undone = min(over, self.dropped)
        return Tally(
            self.acquired + over - undone, self.dropped - undone, replace(cursor, flights=(), damaged=0)
        )


def added(
    tallies: Mapping[str, Tally], acquired: Mapping[str, int], dropped: Mapping[str, int] = NOTHING
) -> dict[str, Tally]:
    """Tallies with so many points more, by sink."""
    more = dict(tallies)
    for sink in acquired.keys() | dropped.keys():
        tally = more.get(sink, Tally())
        more[sink] = replace(
            tally,
            acquired=tally.acquired + acquired.get(sink, 0),
            dropped=tally.dropped + dropped.get(sink, 0),
        )
    return more


def caught_up(
    tallies: Mapping[str, Tally], cursors: Mapping[str, Cursor], queued: Mapping[str, int]
) -> dict[str, Tally]:
    """Tallies that fit what is really queued: points that are missing were lost, those in excess acquired."""
    counted = {sink: points_of(t.acquired, t.dropped, cursors[sink]).queued for sink, t in tallies.items()}
    lost = {sink: max(0, counted[sink] - queued[sink]) for sink in tallies}
    regained = {sink: max(0, queued[sink] - counted[sink]) for sink in tallies}
    return added(added(tallies, regained), {}, lost)
