"""The arguments and environment of this process as others read them in /proc.

The kernel shows the memory that execve(2) filled, wherever a process has its variables since. So the nursery is
started with more of both than it needs, and a forked child writes its own over them. This needs no privilege and no
kernel option (prctl PR_SET_MM_MAP needs CONFIG_CHECKPOINT_RESTORE) and, unlike setproctitle(3), keeps the
environment readable, by which a reconciler proves a process its own.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path


class Nameplate:
    """The two areas. Make it once, after everything that is still needed of the environment was read."""

    def __init__(self) -> None:
        """Raises OSError."""
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        begin, end, environ_begin, environ_end = (int(fields[n - 3]) for n in (48, 49, 50, 51))
        self._arguments = _Area(begin, end - begin)
        self._environ = _Area(environ_begin, environ_end - environ_begin)

    def fits(self, arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Whether there is room."""
        return (
            len(_arguments(arguments)) <= self._arguments.size
            and len(_environ(environ)) <= self._environ.size
        )

    def show(self, arguments: Sequence[str], environ: Mapping[str, str]) -> None:
        """Write them; they must fit. The first variable is what others know the process by: its first byte comes
        when all else of the environment is there, and the arguments after it.
        """
        self._environ.write(b"\0" + _environ(environ)[1:])
        self._environ.put(_environ(environ)[:1])
        self.show_arguments(arguments)

    def show_arguments(self, arguments: Sequence[str]) -> None:
        """Write only these."""
        self._arguments.write(_arguments(arguments))


class _Area:
    """Bytes of the stack; those behind what is filled are zero."""

    def __init__(self, address: int, size: int) -> None:
        self.size = size
        self._address = address
        self._filled = size

    def write(self, text: bytes) -> None:
        """Replace the whole text; pages that stay zero are not touched, so that they stay shared after a fork."""
        self.put(text.ljust(self._filled, b"\0"))
        self._filled = len(text)

    def put(self, begin: bytes) -> None:
        """Replace its beginning."""
        ctypes.memmove(self._address, begin, len(begin))


def _arguments(words: Sequence[str]) -> bytes:
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _environ(variables: Mapping[str, str]) -> bytes:
    return b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in variables.items())
