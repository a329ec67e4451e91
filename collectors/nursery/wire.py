"""What a reconciler and a nursery say to each other: one JSON object a packet, descriptors beside it.

The nursery greets each connection with ``{"key": key()}`` and a pidfd of itself; every :class:`Birth` is answered with
``{"pid": number}`` and a pidfd of the child, or with ``{"error": why}`` and nothing was started.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import socket
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

NURSERY = "collectors.nursery"
"""``python -m`` this, with the state directory as argument and the listening socket as standard input."""

LIMIT = 128 * 1024
"""Bytes in a packet; a socket takes no more than about 200 KiB at once."""

ENVIRON_ROOM, ARGUMENT_ROOM = 16 * 1024, 8 * 1024
"""Bytes that the nursery is started with for its children to write into, see nameplate."""

_PACKAGE = Path(__file__).parents[1]


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
    seen = [sys.version, os.environ.get("LANG", "")]
    seen += sorted(entry.name for entry in os.scandir(sysconfig.get_path("purelib")))
    for directory, _, files in os.walk(_PACKAGE):
        for name in files:
            if name.endswith(".py"):
                path = f"{directory}/{name}"
                status = os.stat(path)  # noqa: PTH116  (at every start)
                seen.append(f"{path} {_digest(path, status.st_mtime_ns, status.st_ctime_ns, status.st_size)}")
    return hashlib.sha256("\n".join(sorted(seen)).encode()).hexdigest()[:16]


@functools.cache
def _digest(path: str, *_unchanged: int) -> str:
    """Of the contents; read again when a time or the size has changed, also one that was set back (ctime cannot be)."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
