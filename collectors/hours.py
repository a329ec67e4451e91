"""Points by the hour of their timestamps: how the ledger of what was delivered is kept."""

from __future__ import annotations

from collections import Counter

from collectors.lines import parse

HOUR_NS = 3600 * 10**9


def by_hour(body: bytes, points: int) -> dict[int, int]:
    """How many of `points` fields fall into each hour since the epoch (UTC).

    A poll's lines are nearly always of one hour, which their times' first nine digits tell (a new value each
    ten seconds, until the year 2286); only others are parsed.
    """
    begins = {line[-20:-10] for line in body.split(b"\n")}
    if all(b[:1] == b" " and len(b) == 10 and b[1:].isdigit() for b in begins):
        hours = {int(b) * 10**10 // HOUR_NS for b in begins}
        if len(hours) == 1:
            return {hours.pop(): points}
    counts = Counter(hour for line in body.split(b"\n") for hour in [hour_of(line)] * fields(line))
    counts[next(iter(counts))] += points - counts.total()  # a row's own count is what was acquired
    return dict(counts)


def hour_of(line: bytes) -> int:
    """The hour of a line; 0 for what is no line."""
    stamp = line.rpartition(b" ")[2]
    return int(stamp) // HOUR_NS if stamp.isdigit() else 0


def fields(line: bytes) -> int:
    """The points of a line; 1 for what is no line."""
    try:
        return len(parse(line.decode())[2])
    except ValueError:
        return 1
