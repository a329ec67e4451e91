"""Do the counts add up, and does the sink hold what was delivered? Reads databases only, while all runs.

What is exact, and what cannot be known:

- acquired = delivered + queued + dropped + rejected holds by the way `queued` is counted; so it is the rows
  that are checked: those no cursor has passed must hold as many points as are counted as queued.
- Senders keep a ledger of points delivered by hour of their timestamps. Over whole hours the sink must hold
  as many field values of the collector. Where a batch is on its way just then, both are bounds.
- Fewer in the sink: values of one tag with an equal timestamp overwrote each other (an OPC UA server may
  send such), somebody deleted some, or they were lost there. More: written from another state directory, or
  before this one kept a ledger. Which of these it was, counting cannot tell.
- A span begins no earlier than what the sink's retention still keeps.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from collectors.contract import Points, SpecFile, StateDir, read_json
from collectors.cursor import Cursor
from collectors.cursorfile import read_cursor, read_ledger
from collectors.feed import Feed
from collectors.hours import HOUR_NS
from collectors.outbox.file import VERSION
from collectors.sinks import Sink, SinkError, open_sink
from collectors.wal import connect

LOOKS = 10
"""At figures that move, until they stand still for one look."""
PAUSE_S = 0.1
_AHEAD_HOURS = 366 * 24
"""Clocks of devices may be wrong."""


@dataclass(slots=True)
class Account:
    """One collector and one sink: counts, and from `since` (epoch seconds) on points delivered and stored.

    `wrong` are sentences for what does not add up; `unknown` says why `stored` could not be counted.
    """

    collector: str
    sink: str
    points: Points
    since: float | None = None
    delivered: int | None = None
    stored: int | None = None
    wrong: list[str] = field(default_factory=list)
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an outbox and a cursor: counts, the points its rows hold, and those of rows on their way."""

    cursor: Cursor
    points: Points
    rows: int
    flying: int


def audit(state: StateDir, names: Collection[str], since: float) -> Iterator[Account]:
    """An account for each outbox and sink, or for those of these names; `since` is epoch seconds.

    Raises OSError, sqlite3.Error.
    """
    sinks: dict[str, Sink | str] = {}
    folder = state.outbox("").parent
    for path in sorted(folder.glob("*.db")) if folder.is_dir() else ():
        for sink in _sinks_of(path):
            if names and path.stem not in names and sink not in names:
                continue
            if sink not in sinks:
                sinks[sink] = _open(state, sink)
            yield _account(state, path, sink, sinks[sink], since)
    for opened in sinks.values():
        if not isinstance(opened, str):
            opened.close()


def _account(state: StateDir, path: Path, name: str, sink: Sink | str, since: float) -> Account:
    before = _look(state, path, name)
    account = Account(path.stem, name, before.points)
    _check_rows(account, state, path, before)
    if isinstance(sink, str):
        account.unknown = sink
        return account
    try:
        kept_ns, since_ns = sink.kept_since(), int(since * 1e9)
        first = -(-kept_ns // HOUR_NS) if kept_ns > since_ns else since_ns // HOUR_NS
        account.since = first * 3600.0
        _check_stored(account, state, path, sink, first)
    except SinkError as error:
        account.wrong.append(f"cannot count what {name} holds: {error.message}")
    except NotImplementedError as error:
        account.unknown = str(error)
    return account


def _check_rows(account: Account, state: StateDir, path: Path, look: Look) -> None:
    """The rows that are left hold what is counted as queued; what was acknowledged meanwhile is a bound."""
    after = _look(state, path, account.sink)
    for _ in range(LOOKS):
        if after.cursor == look.cursor:
            break
        time.sleep(PAUSE_S)
        look, after = after, _look(state, path, account.sink)
    acknowledged = (
        after.cursor.delivered + after.cursor.rejected - look.cursor.delivered - look.cursor.rejected
    )
    account.points = look.points
    queued = look.points.queued
    if not queued - acknowledged <= look.rows <= queued:
        account.wrong.append(
            f"{account.collector} counts {queued} points queued for {account.sink}, but its outbox holds {look.rows}"
        )


def _check_stored(account: Account, state: StateDir, path: Path, sink: Sink, first: int) -> None:
    """The sink holds what the ledger says, and of what is on its way nothing to all."""
    name, collector = account.sink, account.collector
    last = time.time_ns() // HOUR_NS + _AHEAD_HOURS
    for _ in range(LOOKS):
        least = read_ledger(state, name, collector, first, last)
        stored = sink.count(collector, first * HOUR_NS, last * HOUR_NS)
        flying = _look(state, path, name).flying
        most = read_ledger(state, name, collector, first, last)
        if least == most and not flying:
            break
        time.sleep(PAUSE_S)
    account.delivered, account.stored = most, stored
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(first * 3600))
    if stored < least:
        account.wrong.append(
            f"{name} holds {least - stored} points of {collector} less than were delivered since {since}: values"
            " with equal timestamps overwrote each other, or somebody deleted them, or they were lost there"
        )
    elif stored > most + flying:
        account.wrong.append(
            f"{name} holds {stored - most - flying} points of {collector} more than were delivered since {since}:"
            " written from another state directory, or before this one kept count"
        )


def _look(state: StateDir, path: Path, sink: str) -> Look:
    with closing(Feed(path, sink)) as feed:
        cursor = read_cursor(state, sink, feed.uuid)
        return Look(cursor, *feed.held(cursor))


def _sinks_of(path: Path) -> list[str]:
    with closing(connect(path, write=False)) as db:
        if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            return []
        return [sink for (sink,) in db.execute("SELECT sink FROM counters ORDER BY sink")]


def _open(state: StateDir, name: str) -> Sink | str:
    """A sink as its sender runs it, or why it cannot be asked."""
    try:
        digest = read_json(state.report(name))["digest"]
        return open_sink(SpecFile(**read_json(state.spec(name, digest))), state)
    except (OSError, KeyError):
        return f"nothing has been sent to {name} yet"
    except (ValueError, TypeError, sqlite3.Error) as error:
        return str(error)
