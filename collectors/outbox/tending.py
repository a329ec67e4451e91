"""What an outbox needs while no collector of its name lives: pruning, its limits, and an end."""

from __future__ import annotations

import sqlite3

from collectors.contract import StateDir, Tended
from collectors.live import Live
from collectors.outbox.receipt import path_of
from collectors.outbox.writing import Outbox


def tend(state: StateDir, name: str, *, remove: bool) -> Tended:
    """See :func:`collectors.contract.tend_outbox`."""
    live = Live(state, name)
    with Outbox(state, name) as outbox:
        try:
            outbox.maintain(live.max_bytes, live.max_age_s)
        except sqlite3.DatabaseError:
            if not outbox.damage:
                raise
            outbox.rebuild()
        outbox.prune()
        counts = outbox.counts().values()
        over = remove and outbox.is_empty()
    if over:
        path = state.outbox(name)
        # Killed in between, what is left must not speak of more than there is.
        for file in (
            path_of(path),
            path,
            *path.parent.glob(f"{path.name}[-.]*"),
            *path.parent.glob(f".{path.name}.*"),
        ):
            file.unlink(missing_ok=True)
        for file in (path.with_suffix(".turn"), state.report(name), state.live(name)):
            file.unlink(missing_ok=True)
    return Tended(sum(p.queued for p in counts), sum(p.dropped for p in counts), over)
