"""inotify(7) as far as a watch needs it: a descriptor that tells in which directories something changed."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)

# linux/inotify.h
MODIFY, ATTRIB, CLOSE_WRITE, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x4, 0x8, 0x40, 0x80, 0x100, 0x200
DELETE_SELF, MOVE_SELF, OVERFLOW, IGNORED = 0x400, 0x800, 0x4000, 0x8000
ONLYDIR, ISDIR = 0x01000000, 0x40000000
CHANGES = MODIFY | ATTRIB | CLOSE_WRITE | MOVED_FROM | MOVED_TO | CREATE | DELETE | DELETE_SELF | MOVE_SELF
OF_DIRECTORIES = DELETE_SELF | MOVE_SELF | OVERFLOW | IGNORED | ISDIR

_EVENT = struct.Struct("iIII")
"""struct inotify_event: watch, mask, cookie, length of the name that follows."""
_CHUNK = 65536


class Event(NamedTuple):
    """What changed: the number of the watch, bits as above, the name of an entry (empty: the directory itself)."""

    watch: int
    mask: int
    name: str


class Inotify:
    """Directories by the number of their watch; each is watched itself, not what lies deeper."""

    def __init__(self) -> None:
        """Raises OSError."""
        self._fd = _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def fileno(self) -> int:
        """Readable when something changed."""
        return self._fd

    def add(self, directory: Path) -> int:
        """Watch a directory; the number of its watch, the same as long as it is the same directory. Raises OSError."""
        return _checked(_libc.inotify_add_watch(self._fd, os.fsencode(directory), CHANGES | ONLYDIR))

    def remove(self, watch: int) -> None:
        """Watch it no more; nothing happens where the kernel has dropped the watch with the directory."""
        _libc.inotify_rm_watch(self._fd, watch)

    def read(self) -> Iterator[Event]:
        """Take all that has changed."""
        while True:
            try:
                events = os.read(self._fd, _CHUNK)
            except BlockingIOError:
                return
            at = 0
            while at < len(events):
                watch, mask, _, length = _EVENT.unpack_from(events, at)
                at += _EVENT.size + length
                yield Event(watch, mask, os.fsdecode(events[at - length : at].rstrip(b"\0")))

    def close(self) -> None:
        """Watch nothing any more."""
        os.close(self._fd)


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
