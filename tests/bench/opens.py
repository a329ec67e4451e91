"""Which process opens which file when, as the kernel tells it: what is watched neither knows of it nor waits for it."""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

EVENT = struct.Struct("=IBBHQii")
"""``fanotify_event_metadata``: length, version, reserved, length of this, mask, descriptor, pid."""
FAN_OPEN, FAN_EVENT_ON_CHILD, FAN_MARK_ADD, FAN_CLOEXEC, FAN_UNLIMITED_QUEUE = 0x20, 0x08000000, 1, 1, 0x10
AT_FDCWD = -100


class Open(NamedTuple):
    """A file was opened, seen at that ``perf_counter``."""

    at: float
    pid: int
    path: str


class Opens:
    """The files of some directories that are opened while this is entered. Needs root. Raises OSError."""

    def __init__(self, *directories: Path) -> None:
        self.seen: list[Open] = []
        self._told = threading.Condition()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.fanotify_init(FAN_CLOEXEC | FAN_UNLIMITED_QUEUE, os.O_RDONLY)
        self._checked(self._fd)
        for directory in directories:
            mask = ctypes.c_uint64(FAN_OPEN | FAN_EVENT_ON_CHILD)
            self._checked(
                self._libc.fanotify_mark(self._fd, FAN_MARK_ADD, mask, AT_FDCWD, os.fsencode(directory))
            )
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        os.close(self._end)
        self._thread.join()
        for fd in (self._fd, self._ended):
            os.close(fd)

    def wait(self, wanted: Callable[[Open], bool], what: str, since: int = 0, within_s: float = 30.0) -> Open:
        """The first of those seen from number `since` on that is `wanted`. Raises TimeoutError."""
        found: list[Open] = []

        def looked() -> bool:
            found.extend(o for o in self.seen[since:] if wanted(o))
            return bool(found)

        with self._told:
            if not self._told.wait_for(looked, within_s):
                raise TimeoutError(f"waited {within_s:g} s for {what}")
        return found[0]

    def _read(self) -> None:
        poll = select.poll()
        for fd in (self._fd, self._ended):
            poll.register(fd, select.POLLIN)
        while True:
            ready = [fd for fd, _ in poll.poll()]
            if self._fd in ready:
                self._take(os.read(self._fd, 1 << 16), time.perf_counter())
            elif ready:
                return

    def _take(self, data: bytes, at: float) -> None:
        with self._told:
            while data:
                length, *_, fd, pid = EVENT.unpack_from(data)
                path = os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115
                os.close(fd)
                self.seen.append(Open(at, pid, path))
                data = data[length:]
            self._told.notify_all()

    @staticmethod
    def _checked(answer: int) -> None:
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot watch what is opened (as root?): {os.strerror(number)}")
