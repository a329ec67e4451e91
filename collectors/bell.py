"""A word to the loop that the report of a name says something new: one datagram, the name.

Only a hint: lost where no loop listens or it has much to do, and the loop reads all reports every few seconds anyway.
"""

from __future__ import annotations

import socket
from contextlib import suppress

from collectors.contract import StateDir
from collectors.socketpath import socket_path

NAME = "news.sock"


def ring(state: StateDir, name: str) -> None:
    """Never waits, never fails."""
    with (
        suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock,
        socket_path(state.root, NAME) as path,
    ):
        sock.sendto(name.encode(), path)
