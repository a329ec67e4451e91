"""The endpoint on one address, in a thread of its own: a slow client delays no pass, a long pass no client."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from contextlib import suppress

import uvicorn

from reconciler.publish import Publisher
from reconciler.server.address import Address, host_and_port
from reconciler.server.app import build_app
from reconciler.server.bearer import Token
from reconciler.server.connection import Channel, Connection
from reconciler.server.feed import Feed
from reconciler.server.guard import Guard
from reconciler.server.metrics import Metrics
from reconciler.server.pace import Pace
from reconciler.server.views import Views

STUCK_MS = 30_000
"""The kernel ends a connection whose peer takes nothing for so long (TCP_USER_TIMEOUT)."""
MOST_HEADER_BYTES = 16 * 1024
MOST_MESSAGE_BYTES = 4 * 1024

TICK_S = 1.0
"""How old the Date header of an answer may be."""
GOODBYE_S = 0.1
"""For who is just closing its connection; uvicorn ends those less well."""
TURN_S = 0.0005
"""How soon this thread and that of the passes let each other go on; with Python's 5 ms an answer needs ten of them."""

logger = logging.getLogger("daq.server")


class _Uvicorn(uvicorn.Server):
    """One that looks at its clock each second instead of ten times, and ends soon after it is told."""

    _events: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._asked = asyncio.Event()
        self._events = asyncio.get_running_loop()
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await self._asked.wait()

    def ask_to_end(self) -> None:
        """From another thread."""
        if self._events is None:
            self.should_exit = True
            return
        with suppress(RuntimeError):  # it has ended
            self._events.call_soon_threadsafe(self._events.call_later, GOODBYE_S, self._end)

    def _end(self) -> None:
        self.should_exit = True
        self._asked.set()


class Server:
    """uvicorn over a publisher's snapshots."""

    def __init__(self, publisher: Publisher, address: Address) -> None:
        """Bind at once. Raises OSError with a sentence: the address, token or certificate cannot be used."""
        token = Token(address.token_file) if address.token_file else None
        self._stopping = threading.Event()
        views = Views(publisher, self._stopping.is_set)
        self._metrics = Metrics(publisher)
        pace = Pace()
        self.feed, guard = Feed(publisher, views, pace), Guard(address, views, token, pace)
        config = uvicorn.Config(
            build_app(views, self.feed, guard, self._metrics),
            http=Connection,
            ws=Channel,
            ws_max_size=MOST_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # 200 clients times all status objects would be a core of zlib
            h11_max_incomplete_event_size=MOST_HEADER_BYTES,
            lifespan="on",
            log_config=None,
            log_level="error",  # below that it logs what clients do wrong, as often as they do it
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ssl_certfile=address.certificate,
            ssl_keyfile=address.key,
        )
        try:
            config.load()
        except OSError as error:
            what = f"{address.certificate} and its key {address.key or ''}".rstrip()
            raise OSError(
                error.errno, f"cannot use the certificate {what}: {error.strerror or error}"
            ) from error
        self._socket = address.listen()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
        self.url = f"{address.scheme}://{host_and_port(*self._socket.getsockname()[:2])}"
        if not (address.is_local or token):
            logger.warning(
                "%s can be read by everybody who reaches this machine; --api-token-file FILE asks for a token",
                self.url,
            )
        self._server = _Uvicorn(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="endpoint", daemon=True
        )

    def start(self) -> None:
        """Serve from now on."""
        sys.setswitchinterval(TURN_S)
        self._thread.start()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._server.server_state.connections)

    def passed(self, seconds: float) -> None:
        """Count a pass that took so long."""
        self._metrics.passes.observe(seconds)

    def announce_stop(self) -> None:
        """Answer /readyz with 503 from now on."""
        self._stopping.set()

    def close(self) -> None:
        """End the thread; open connections are cut after one second."""
        self._server.ask_to_end()
        if self._thread.is_alive():  # never started where the loop could not start
            self._thread.join(timeout=1.0)
        self._server.force_exit = True
        self._socket.close()
