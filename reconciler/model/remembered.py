"""What is remembered of a name between passes, reconcilers and boots."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.observed import Termination


@dataclass(frozen=True, slots=True)
class Held:
    """Not started again until the digest, or what it refers to (`fingerprint`), changes, or `daq restart`."""

    digest: str
    reason: str
    message: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a name; times are monotonic seconds of `boot_id` and void in another boot.

    `failures` in a row set the back-off; `restarts` are the automatic ones inside the policy's window. `digest` is
    the one last started, `fingerprint` that of the files and variables it referred to then. `removed_at` is when it
    was let go because its manifest vanished, for the prune guard.
    """

    boot_id: str = ""
    digest: str | None = None
    fingerprint: str = ""
    restart_count: int = 0
    failures: int = 0
    restarts: tuple[float, ...] = ()
    next_start: float | None = None
    next_start_at: float | None = None
    held: Held | None = None
    completed: str | None = None
    last_error: str | None = None
    terminations: tuple[Termination, ...] = ()
    removed_at: float | None = None
