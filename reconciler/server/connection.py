"""What one connection may take: so many at a time, so long for a request and its answer; how a WebSocket ends."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from reconciler.server.problems import Problem

MOST_CONNECTIONS = 512
FIRST_REQUEST_S = 10.0
NEXT_REQUEST_S = 60.0
"""A connection must finish a request and ask the next one within this; idle ones are closed sooner (uvicorn: 5 s)."""


class Connection(H11Protocol):
    """uvicorn's, with limits; what it refuses is a problem in JSON too."""

    _limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, unless there are too many."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            self._refuse(503, f"{MOST_CONNECTIONS} connections are open already; try again later")
            return
        self._cut_after(FIRST_REQUEST_S)

    def data_received(self, data: bytes) -> None:
        """Take bytes; a whole request gets time for its answer."""
        if self.transport.is_closing():  # refused: whatever else it says
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._cut_after(NEXT_REQUEST_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_clock()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on the feed has its own limits."""
        self._stop_clock()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """For what is no HTTP."""
        self._refuse(400, msg)

    def _refuse(self, status: int, detail: str) -> None:
        problem = Problem(status, detail, {"Connection": "close"})
        head: Any = h11.Response(status_code=status, headers=problem.raw_headers)
        for event in (head, h11.Data(data=bytes(problem.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _cut_after(self, seconds: float) -> None:
        self._stop_clock()
        self._limit = self.loop.call_later(seconds, self.transport.abort)

    def _stop_clock(self) -> None:
        if self._limit:
            self._limit.cancel()


class Channel(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, but one whose peer is saying goodbye does not end the server with an error."""

    def shutdown(self) -> None:
        """Say goodbye and close."""
        try:
            super().shutdown()
        except InvalidState:
            self.transport.close()
