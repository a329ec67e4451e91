"""Where children ring when their reports say something new (see ``collectors.bell``)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Collection

from collectors.bell import NAME
from collectors.contract import StateDir
from collectors.socketpath import socket_path
from reconciler.loop.control import make_way

CALM_S = 0.2
LONGEST_NAME = 255


class Doorbell:
    """Calls `rung` with the names that rang, at most once in 0.2 s: hundreds of starts mean no hundreds of passes."""

    def __init__(self, state: StateDir, rung: Callable[[Collection[str]], None]) -> None:
        """The caller holds the instance lock. Raises OSError."""
        self._rung = rung
        self._names: set[str] = set()
        self._events = asyncio.get_running_loop()
        self._calm: asyncio.TimerHandle | None = None
        make_way(state.root / NAME)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        with socket_path(state.root, NAME) as path:
            self._socket.bind(path)  # in a directory that is ours alone
        self._events.add_reader(self._socket, self._hear)

    def close(self) -> None:
        """Hear nothing any more."""
        if self._calm:
            self._calm.cancel()
        self._events.remove_reader(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        """At once, also while it is to be calm: the kernel keeps ten datagrams and drops what comes then."""
        while True:
            try:
                self._names.add(self._socket.recv(LONGEST_NAME).decode(errors="replace"))
            except BlockingIOError:
                break
        if self._calm is None:
            self._tell()

    def _tell(self) -> None:
        self._calm = None
        if self._names:
            names, self._names = self._names, set()
            self._calm = self._events.call_later(CALM_S, self._tell)
            self._rung(names)
