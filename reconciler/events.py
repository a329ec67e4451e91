"""Events on disk: numbered from 1 without gaps, a JSON object a line, the oldest half dropped at the cap.

``<state-dir>/events.ndjson`` grows to 1 MiB and is then moved to ``events.1.ndjson``. The owner of the state
directory writes; anybody reads.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from collectors.contract import StateDir
from reconciler.news import News

FILE_BYTES = 1024 * 1024

logger = logging.getLogger("daq.events")


class EventLog:
    """The events of a state directory."""

    def __init__(self, state: StateDir) -> None:
        self._path = state.root / "events.ndjson"
        self._older = state.root / "events.1.ndjson"
        self._last: int | None = None

    def append(self, news: Iterable[News], at: float) -> None:
        """Number and keep them, `at` epoch seconds. What cannot be written is logged, and has no number."""
        lines = []
        number = self.last
        for number, item in enumerate(news, number + 1):  # noqa: B020
            event = {
                "number": number,
                "at": at,
                "name": item.name,
                "reason": item.reason,
                "message": item.message,
            }
            lines.append(json.dumps(event, ensure_ascii=False).encode() + b"\n")
        if not lines:
            return
        try:
            self._write(b"".join(lines))
            self._last = number
        except OSError as error:
            logger.warning("cannot keep %d events: %s", len(lines), error)

    def read(self, after: int = 0, name: str | None = None) -> list[dict[str, Any]]:
        """Those with a higher number, of one name or all, oldest first. Raises OSError."""
        return [
            event
            for path in (self._older, self._path)
            for event in _parsed(path)
            if event["number"] > after and name in (None, event["name"])
        ]

    def newest(self, *reasons: str) -> dict[str, Any] | None:
        """The newest event of any of these reasons; None without one. Raises OSError."""
        return next((e for e in reversed(self.read()) if e["reason"] in reasons), None)

    def stamp(self) -> tuple[int, int]:
        """Another one whenever there may be new events."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_ino, status.st_size

    @property
    def last(self) -> int:
        """The highest number given; 0 before the first. Raises OSError."""
        if self._last is None:
            self._last = max((event["number"] for event in self.read()), default=0)
        return self._last

    def _write(self, data: bytes) -> None:
        with self._path.open("ab+") as file:
            size = file.tell()
            if size:
                file.seek(size - 1)
                if file.read(1) != b"\n":  # the writer before died in the middle of a line
                    data = b"\n" + data
            file.write(data)
        if size + len(data) >= FILE_BYTES:
            self._path.replace(self._older)


def _parsed(path: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        try:
            event = json.loads(line)
            if isinstance(event["number"], int):
                yield event
        except (ValueError, KeyError, TypeError):
            continue  # half a line of a writer that died
