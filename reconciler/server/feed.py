"""The WebSocket: all status objects on connect and every 5 s, those that changed as soon as a pass has seen it.

Each client has a queue of messages not yet sent. One that reads so slowly that its queue is full is let go with a
reason; nobody waits for it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from reconciler.publish import Publisher
from reconciler.server.bearer import SUBPROTOCOL
from reconciler.server.pace import Pace
from reconciler.server.views import View, Views, encode

PATH = "/ws/processes"
EVERY_S = 5.0
QUEUED = 32
"""Messages that may wait for a client."""
MOST_CLIENTS = 256
FAREWELL_S = 5.0
"""How long a client that is let go may take to hear why."""
TRY_AGAIN_LATER = 1013

UPDATE, CHANGE, STATUS = "process_status_update", "process_status_change", "process_status"


class Client:
    """One connection: what waits to be sent to it, and why it is let go."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[str | View] = asyncio.Queue(QUEUED)
        self.dismissed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def offer(self, message: str | View) -> None:
        """Have a message sent, or the answer to `get_status` made of a view."""
        try:
            self.queue.put_nowait(message)
        except asyncio.QueueFull:
            if not self.dismissed.done():
                self.dismissed.set_result(f"too slow: {QUEUED} messages waited; connect again for the newest")


class Feed:
    """All clients, and the view that they were last told of."""

    def __init__(self, publisher: Publisher, views: Views, pace: Pace) -> None:
        self._publisher = publisher
        self._views = views
        self._pace = pace
        self._told = View(publisher.snapshot)
        self._begun = asyncio.Event()
        self.clients: set[Client] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Tell clients of each new snapshot while this lasts."""
        published = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, published.set)
        self._publisher.listeners.append(wake)
        if self._publisher.ready:  # before anybody listened
            published.set()
        telling = asyncio.create_task(self._tell(published))
        try:
            yield
        finally:
            self._publisher.listeners.remove(wake)
            telling.cancel()

    async def serve(self, socket: WebSocket) -> None:
        """One client, from its first message to its last."""
        await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in socket.scope["subprotocols"] else None)
        if len(self.clients) >= MOST_CLIENTS:
            await socket.close(TRY_AGAIN_LATER, f"{MOST_CLIENTS} clients are connected already")
            return
        await self._begun.wait()
        client = Client()
        client.offer(_message(UPDATE, self._told, self._told.all))
        self.clients.add(
            client
        )  # no await since the offer: the first message and the changes after it are seamless
        tasks = [asyncio.create_task(t) for t in (self._send(socket, client), self._receive(socket, client))]
        ends: set[asyncio.Future[Any]] = {*tasks, client.dismissed}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.clients.discard(client)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for bug in (
            r for r in results if isinstance(r, Exception) and not isinstance(r, WebSocketDisconnect)
        ):
            raise bug
        if client.dismissed.done():
            with suppress(TimeoutError, WebSocketDisconnect):
                async with asyncio.timeout(FAREWELL_S):
                    await socket.close(TRY_AGAIN_LATER, client.dismissed.result())

    async def _tell(self, published: asyncio.Event) -> None:
        """Offer all clients what each new snapshot changes."""
        while True:
            await published.wait()
            published.clear()
            before, now = self._told, self._views.newest
            self._told = now
            self._begun.set()
            parts, old = now.snapshot.lasting, before.snapshot.lasting
            changed = [name for name, part in parts.items() if old.get(name) != part]
            removed = [name for name in old if name not in parts]
            if self.clients and (changed or removed):
                message = _message(CHANGE, now, now.list_of(changed), removed)
                for client in self.clients:
                    client.offer(message)

    async def _send(self, socket: WebSocket, client: Client) -> None:
        due = asyncio.get_running_loop().time() + EVERY_S
        while True:
            try:
                async with asyncio.timeout_at(due):
                    message = await client.queue.get()
            except TimeoutError:
                due += EVERY_S
                message = _message(UPDATE, self._told, self._told.all)
            if isinstance(message, View):
                message = _message(STATUS, message, message.all)
            await socket.send_text(message)

    async def _receive(self, socket: WebSocket, client: Client) -> None:
        while (message := await socket.receive())["type"] == "websocket.receive":
            await self._pace.turn()
            client.offer(self._told if _asks_for_status(message) else _not_understood())


def _message(kind: str, view: View, data: str, removed: Sequence[str] = ()) -> str:
    """`data` is a JSON array of status objects; the rest of status.json stands beside it."""
    document = view.snapshot.document
    head = {
        "type": kind,
        "timestamp": time.time(),
        "number": view.snapshot.number,
        "heartbeat_at": document["reconciler"]["heartbeat_at"],
        **{key: document[key] for key in ("reconciler", "source", "converged", "summary")},
        "removed": list(removed),
    }
    return f'{encode(head)[:-1]},"data":{data}}}'


def _asks_for_status(message: Message) -> bool:
    try:
        return bool(json.loads(message.get("text") or "")["type"] == "get_status")
    except (ValueError, TypeError, KeyError):
        return False


def _not_understood() -> str:
    return encode(
        {"type": "error", "timestamp": time.time(), "detail": 'this feed answers {"type":"get_status"} only'}
    )
