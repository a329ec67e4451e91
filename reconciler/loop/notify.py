"""Telling a service manager how the loop is: sd_notify(3), a datagram to the socket it names."""

from __future__ import annotations

import logging
import os
import socket

logger = logging.getLogger("daq.loop")


class ServiceManager:
    """Says nothing where ``NOTIFY_SOCKET`` names no socket."""

    def __init__(self) -> None:
        name = os.environ.pop("NOTIFY_SOCKET", "")  # not for our children
        self._address = f"\0{name[1:]}" if name.startswith("@") else name

    def ready(self) -> None:
        """The first pass is done."""
        self._send("READY=1")

    def alive(self, headline: str) -> None:
        """A pass was made; feeds the watchdog."""
        self._send(f"WATCHDOG=1\nSTATUS={headline}")

    def stopping(self) -> None:
        """The loop ends."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto(text.encode(), self._address)
        except OSError as error:
            logger.warning("cannot tell the service manager: %s", error.strerror)
            self._address = ""
