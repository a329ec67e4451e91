"""Whether the wall clock can be right: it stands neither before what was read already nor before this program."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

from collectors.contract import Trouble

MADE_AT = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
"""This program is not older than that."""
TOLERANCE_S = 2.0
"""A clock that is set so little is only being kept right."""

log = logging.getLogger("collectors.clock")


class Clock:
    """What a collector has seen of the wall clock; times are epoch seconds."""

    def __init__(self, newest_at: float) -> None:
        """`newest_at`: the newest time at which an earlier run of this collector was at work; 0 for none."""
        self.newest_at = newest_at
        self.behind: Trouble | None = None

    def look(self, now: float) -> None:
        """Once a second."""
        missing_s = max(self.newest_at, MADE_AT) - now
        if missing_s <= TOLERANCE_S:
            if self.behind:
                log.warning("the clock has caught up")
            self.behind, self.newest_at = None, max(self.newest_at, now)
        elif self.behind is None:
            than = "the newest reading" if self.newest_at > MADE_AT else "this program"
            message = f"the clock stands {missing_s:.0f} s before {than}: is it set right? new readings sort before old"
            self.behind = Trouble("ClockBehind", message, now)
            log.warning("%s", message)
