"""What changes without a restart: the live file of a collector, looked at every second."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from collectors.contract import DEFAULT_BUFFER, StateDir, read_json
from collectors.quantities import parse_duration, parse_size

DEFAULT_SINK = "local"

log = logging.getLogger("collectors.live")


class Live:
    """The values in force; a file that cannot be read changes nothing."""

    def __init__(self, state: StateDir, name: str) -> None:
        self._path = state.live(name)
        self._stamp: tuple[int, int] | None = None
        self._take({})
        self.look()

    def look(self) -> None:
        """Read the file if it was replaced since."""
        try:
            stat = self._path.stat()
            stamp = stat.st_ino, stat.st_mtime_ns
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._take(read_json(self._path))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.error("cannot use %s: %s", self._path.name, error)

    def _take(self, value: dict[str, Any]) -> None:
        buffer = {**DEFAULT_BUFFER, **value.get("spec", {}).get("buffer", {})}
        max_bytes, max_age_s = parse_size(buffer["maxBytes"]), parse_duration(buffer["maxAge"])
        self.sinks: tuple[str, ...] = tuple(value.get("sinks") or (DEFAULT_SINK,))
        share = value.get("buffer_share")
        self.max_bytes = max_bytes if share is None else min(max_bytes, int(share))
        self.max_age_s = max_age_s
        self.texts: Mapping[str, Mapping[str, str]] = value.get("texts") or {}
