"""A replay of dead letters: sent again like a batch; what is taken counts as delivered and leaves the file."""

from __future__ import annotations

from pathlib import Path

from collectors.cursors import Cursors
from collectors.delivery import Delivery
from collectors.feed import Chunk
from collectors.hours import hour_of
from collectors.letters import Letters, Replayed, read_letters


async def replay(letters: Letters, path: Path, delivery: Delivery, cursors: Cursors) -> Replayed | None:
    """Send all letters of the file at `path` once more; None where asked to stop before.

    The counters move first and remember whose they were, so that after a kill no letter is counted twice.
    Raises OSError, sqlite3.Error.
    """
    known = cursors.already_replayed()
    sent = {letter.id: letter for letter in read_letters(path) if letter.id not in known}
    refused = (
        await delivery.deliver([Chunk(x.outbox, x.points, x.line.encode()) for x in sent.values()])
        if sent
        else []
    )
    if refused is None:
        if delivery.stopping:
            return None
        refused = list(sent.values())
    again = {letter.id: letter for letter in refused}
    taken = [letter for letter in sent.values() if letter.id not in again]
    cursors.replayed([(x.id, x.outbox, hour_of(x.line.encode()), x.points) for x in taken])
    gone = cursors.already_replayed()
    letters.keep([again.get(letter.id, letter) for letter in read_letters(path) if letter.id not in gone])
    cursors.forget_replayed()
    return Replayed(len(taken), len(again))
