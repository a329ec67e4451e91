"""Hints that something changed under the manifests; never the only reason to look.

A watch only ends early what would otherwise wait for the timer. What it says is passed on once nothing more has changed
for as long as an edit has to have settled, so that the look which it wakes finds it settled.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from collectors.contract import monotonic
from reconciler.desired.reader import QUIET_S
from reconciler.desired.tree import ignored
from reconciler.loop.inotify import OF_DIRECTORIES, Event, Inotify

LONGEST_S = 0.5
"""Where something changes all the time it is told so often."""

logger = logging.getLogger("daq.watch")


class Watch:
    """Calls `changed` after changes at or below `root`, which may be missing, a link, swapped or recreated."""

    def __init__(self, root: Path, changed: Callable[[], None]) -> None:
        self._root = root
        self._changed = changed
        self._events = asyncio.get_running_loop()
        self._inotify: Inotify | None = None
        self._watched: set[int] = set()
        self._parent = -1
        self._identity: tuple[int, int] | None = None
        self._again = True
        self._first: float | None = None
        self._calm: asyncio.TimerHandle | None = None
        try:
            self._inotify = Inotify()
            self._events.add_reader(self._inotify.fileno(), self._hear)
        except OSError as error:
            logger.warning("cannot watch %s, looking at it by the clock only: %s", root, error.strerror)

    def renew(self) -> None:
        """Watch the directories that are there now; for before every look, so that nothing after it is missed."""
        identity = _identity(self._root)
        if self._inotify is None or (identity == self._identity and not self._again):
            return
        self._identity, self._again = identity, False
        self._parent = self._add(self._root.parent)
        found = {self._parent, *map(self._add, _directories(self._root))}
        for watch in self._watched - found:
            self._inotify.remove(watch)
        self._watched = found

    def close(self) -> None:
        """Call nobody any more."""
        if self._calm:
            self._calm.cancel()
        if self._inotify:
            self._events.remove_reader(self._inotify.fileno())
            self._inotify.close()

    def _hear(self) -> None:
        assert self._inotify is not None
        events = [event for event in self._inotify.read() if self._concerns(event)]
        if not events:
            return
        self._again |= any(event.mask & OF_DIRECTORIES for event in events)
        now = monotonic()
        self._first = self._first or now
        if self._calm:
            self._calm.cancel()
        self._calm = self._events.call_later(min(QUIET_S, self._first + LONGEST_S - now), self._tell)

    def _add(self, directory: Path) -> int:
        assert self._inotify is not None
        try:
            return self._inotify.add(directory)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return -1
        except OSError as error:
            logger.warning("cannot watch %s, looking at it by the clock only: %s", directory, error.strerror)
            return -1

    def _concerns(self, event: Event) -> bool:
        """Of the directory above only the root itself does; a watch that was removed tells of that."""
        return event.name == self._root.name if event.watch == self._parent else event.watch in self._watched

    def _tell(self) -> None:
        self._calm = self._first = None
        self._changed()


def _directories(root: Path) -> Iterator[Path]:
    yield root
    for directory, below, _ in os.walk(root):
        below[:] = [name for name in below if not ignored(name)]
        yield from (Path(directory, name) for name in below)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
