"""Which rows go next: batches of all outboxes, of their newest and their oldest rows.

**Live and backlog.** Up to half of every batch is filled with the newest rows, the same share for each
collector, the rest with the oldest, collectors in turn. So after an outage of any length the newest
readings arrive with the next batch, their age is that of one batch under way, and the backlog is worked off
from its old end with all that is left; it is never less than half. Where the newest rows do not fit into
their share, the sink being slower than the plant, what lies between stays for later.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

from collectors.contract import StateDir
from collectors.cursor import Cursor, Rows
from collectors.cursors import Cursors
from collectors.feed import Chunk, Feed, Taken, refresh
from collectors.outbox import turn
from collectors.wal import is_damage


@dataclass(slots=True)
class Batch:
    """What is sent together: what was taken of each outbox."""

    taken: dict[Feed, Taken] = field(default_factory=dict)
    lines: int = 0

    def add(self, feed: Feed, part: Taken) -> None:
        """Put more of one outbox to it."""
        if part.rows:
            self.taken.setdefault(feed, Taken()).add(part)
            self.lines += part.lines

    @property
    def chunks(self) -> list[Chunk]:
        """All rows."""
        return [chunk for taken in self.taken.values() for chunk in taken.chunks]


class Taking:
    """The outboxes of one sink and where it stands in them. Methods raise sqlite3.Error, OSError."""

    def __init__(self, state: StateDir, sink: str, cursors: Cursors, lines: int, look_every_s: float) -> None:
        """Batches are of about `lines` lines; outboxes are looked for every `look_every_s`."""
        self._state = state
        self._sink = sink
        self._cursors = cursors
        self._lines = lines
        self._look_every_s = look_every_s
        self._look_at = 0.0
        self._found: dict[str, Feed] = {}
        self._met: set[Feed] = set()
        self._order: list[Feed] = []

    @property
    def feeds(self) -> Collection[Feed]:
        """The outboxes that there are."""
        return self._met

    def close(self) -> None:
        """Release the databases."""
        for feed in self._found.values():
            feed.close()

    def take(self) -> Batch:
        """The next batch, its rows committed as on their way; empty where there is nothing to send.

        Where it raises, nothing is on its way that was not before.
        """
        self._look_for_feeds()
        batch, cursors = Batch(), dict[Feed, Cursor]()
        with ExitStack() as turns, self._whole_or_again() as left:
            feeds = [f for f in self._order if f.waiting() and turns.enter_context(turn(f.path))]
            for feed in feeds:
                cursors[feed] = self._cursors.get(feed.uuid)
                left[feed.uuid] = left_over = self._cursors.left_over(feed.uuid)
                batch.add(feed, self._read(feed, partial(feed.again, left_over), left_over))
                share = max(1, self._lines // 2 // len(feeds))
                newest = self._read(feed, partial(feed.newest, cursors[feed], share))
                cursors[feed] = cursors[feed].take_off(newest.rows)
                batch.add(feed, newest)
            for feed in feeds:
                if batch.lines >= self._lines:
                    break
                if not feed.drained:
                    room = self._lines - batch.lines
                    batch.add(feed, self._read(feed, partial(feed.oldest, cursors[feed], room)))
                    self._order.remove(feed)
                    self._order.append(feed)
            if batch.taken:
                self._cursors.take_off(
                    {feed.uuid: (feed.collector, taken.rows) for feed, taken in batch.taken.items()}
                )
        return batch

    def _read(self, feed: Feed, take: Callable[[], Taken], left_over: Sequence[Rows] = ()) -> Taken:
        """What is taken; nothing at a damaged place, of which the collector is told."""
        try:
            return take()
        except sqlite3.DatabaseError as error:
            if not is_damage(error):
                raise
            self._cursors.tell_damaged(feed.uuid, feed.inode)
            self._cursors.leave_over(feed.uuid, left_over)
            return Taken()

    @contextmanager
    def _whole_or_again(self) -> Iterator[dict[str, Sequence[Rows]]]:
        """What was taken and cannot be noted is taken again, rows of a sender before this one (by outbox) first."""
        left: dict[str, Sequence[Rows]] = {}
        try:
            yield left
        except (sqlite3.OperationalError, OSError):
            for uuid, rows in left.items():
                self._cursors.leave_over(uuid, rows)
            for feed in self._order:
                feed.look_again()
            raise

    def _look_for_feeds(self) -> None:
        """Outboxes come and go; to look for them takes a stat each."""
        if time.monotonic() < self._look_at:
            return
        self._cursors.open()
        self._found = refresh(self._found, self._state, self._sink)
        self._met &= set(self._found.values())
        self._order = [feed for feed in self._order if feed in self._met]
        for feed in self._found.values():
            if feed not in self._met:
                self._cursors.begin(feed.uuid, feed.collector, feed.noted())
                self._met.add(feed)
                self._order.append(feed)
        self._look_at = time.monotonic() + self._look_every_s
