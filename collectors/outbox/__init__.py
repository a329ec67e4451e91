"""A collector's outbox: what it has read and not every sink has taken yet. SQLite, one writer: the collector.

Lines that were acquired together are one row. A row carries its route, the sinks in force when it was read, and
stays with them. Senders only read; each keeps its position in its own database (cursors.py). Rows that all cursors of
their route have passed are pruned. Where no collector of that name lives, whoever holds its lock may write in its
place (``tending``).

**Counting.** A point is counted exactly when it is stored, because a row is its own count: `counters` hold what was
acquired up to row `counted_to`, rows behind it are added. They move on with each pruning, together with where each
sink's cursor stood, so that cursors that are lost begin again at the very row that is still there.

**Dropping the oldest without touching what is being sent.** Two short sections must not interleave: a sender reads
which rows exist and commits their range as in flight; the collector reads those ranges and deletes rows outside them.
Both hold :func:`turn`, a lock of the kernel's that dies with its holder, and neither waits for it: a sender comes back
a moment later, a collector drops at its next turn. So a row is in a published range before its sender posts it, or is
gone before the sender looks. Committing to one database after reading the other would not do by itself: whichever
order the two choose, a row remains that both, or neither, would count. Acknowledging needs no lock: it moves rows from
in flight to passed in one transaction, and neither kind is dropped. A killed sender leaves its ranges published; its
successor sends those first.

**Dying.** A commit survives ``kill -9`` at once (WAL, synchronous = NORMAL) and a power cut once the log is on disk:
with the first maintenance after ``writing.SYNC_EVERY_S``. A sender may have delivered, and durably counted, rows that a
power cut then took from the outbox; opening counts them as acquired again and never reuses their ids.

**Damage** is noticed by SQLite, by the checksum of each row, or by a sender, who says so in its cursor. ``rebuild``
takes every row that can still be read into a new file; what could not is counted as dropped, and the old file is set
aside. A log that lost its end tells nobody; so the collector keeps a ``receipt`` of what was acquired
beside the outbox, and opening counts what is missing (``books``). A file that somebody removes or replaces while it
is in use is put back whole within a second or so; one that is removed while nobody uses it is missing, and counted.
"""

from collectors.outbox.file import points_of, turn
from collectors.outbox.writing import Outbox

__all__ = ["Outbox", "points_of", "turn"]
