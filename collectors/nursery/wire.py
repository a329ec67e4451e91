"""What a reconciler and a nursery say to each other: one JSON object a packet, descriptors beside it.

The nursery greets each connection with ``{"key": key()}`` and a pidfd of itself; every :class:`Birth` is answered with
``{"pid": number}`` and a pidfd of the child, or with ``{"error": why}`` and nothing was started. The born wait until
:data:`BEGIN`, which has no answer, so that of a mass start all exist before the first takes CPU for its work.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import socket
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

NURSERY = "collectors.nursery"
"""``python -m`` this, with the state directory as argument and the listening socket as standard input."""

SPARE = "spare"
"""What the arguments of a child without a name end with, after those of the nursery."""

BEGIN = {"begin": "all"}

LIMIT = 128 * 1024
"""Bytes in a packet; a socket takes no more than about 200 KiB at once."""

ENVIRON_ROOM, ARGUMENT_ROOM = 16 * 1024, 8 * 1024
"""Bytes that the nursery is started with for its children to write into, see nameplate."""

_PACKAGE = Path(__file__).parents[1]
_DRIVERS = sysconfig.get_path("purelib")


@dataclass(frozen=True, slots=True)
class Birth:
    """A child as it is to be: what a spawned one gets from execve(2) and inherits from the reconciler."""

    arguments: Sequence[str]
    environ: Mapping[str, str]
    directory: str
    umask: int
    nice: int
    oom_score_adj: int


def send(sock: socket.socket, message: Birth | Mapping[str, str], descriptors: Sequence[int] = ()) -> None:
    """Raises OSError, EMSGSIZE where it is too long."""
    value = asdict(message) if isinstance(message, Birth) else message
    socket.send_fds(sock, [json.dumps(value).encode()], descriptors)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """A message and its descriptors, which the caller closes; None at the end. Raises OSError or ValueError."""
    data, descriptors, flags, _ = socket.recv_fds(sock, LIMIT, 4, socket.MSG_CMSG_CLOEXEC)
    if not data:
        return None
    try:
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise ValueError("a message was cut off")
        return json.loads(data), descriptors
    except ValueError:
        for fd in descriptors:
            os.close(fd)
        raise


def key() -> str:
    """Names the installed code as it lies on disk now: interpreter, versions of the drivers, contents of our files.

    Raises OSError, where a file goes while it is read.
    """
    return _key(os.environ.get("LANG", ""), _stamp(_DRIVERS, os.stat(_DRIVERS)), *_stamps(str(_PACKAGE)))  # noqa: PTH116


class _Stamp(NamedTuple):
    """Another one when a file has changed, also one whose time was set back (ctime cannot be), or what a directory
    holds.
    """

    path: str
    modified_ns: int
    changed_ns: int
    size: int


def _stamp(path: str, status: os.stat_result) -> _Stamp:
    return _Stamp(path, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def _stamps(directory: str) -> Iterator[_Stamp]:
    """Of every file of ours. It is looked at for every start, so no Path objects."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                yield _stamp(entry.path, entry.stat())
            elif entry.is_dir():
                yield from _stamps(entry.path)


@functools.lru_cache(maxsize=1)
def _key(language: str, drivers: _Stamp, *files: _Stamp) -> str:
    seen = [sys.version, language, *os.listdir(drivers.path)]  # noqa: PTH208
    seen += [f"{file.path} {_digest(file)}" for file in files]
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()[:16]


@functools.cache
def _digest(file: _Stamp) -> str:
    return hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
