"""A simulated device on TCP: connections, and the faults that befall its answers."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Generic, Protocol, TypeVar

from collectors.simulate.faults import Faults, is_nth

SEGMENT_GAP_S = 0.001
"""Between the segments of a split answer, so that the peer's kernel does not put them together again."""
SEGMENTS = 300
"""Of a split answer at most: longer ones go in more bytes at a time."""

R = TypeVar("R")
F = TypeVar("F", bound=Faults)
F_contra = TypeVar("F_contra", bound=Faults, contravariant=True)


class FrameError(Exception):
    """Bytes that cannot be the start of a frame; the connection has no way back from it."""


class Speech(Protocol[R, F_contra]):
    """What a device says to what it is asked."""

    def take(self, buffer: bytearray) -> R | None:
        """Remove the first whole request from `buffer`; None while there is none. Raises FrameError."""

    def answer(self, request: R, faults: F_contra) -> bytes | None:
        """What goes over the wire for a request; None for silence."""


class Served(Protocol):
    """What listens; ``port`` says where."""

    @property
    def port(self) -> int:
        """Where it listens."""


class Listener(ABC, Generic[F]):
    """What takes connections; set `faults` at any time, they hold from the next request on.

    `requests` counts what was to be answered, `connections` what is open.
    """

    def __init__(self, faults: F) -> None:
        self.faults = faults
        self.port = 0
        self.requests = 0
        self.connections: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin to converse with a peer that has connected."""
        if self.faults.refuse:
            writer.transport.abort()
            return
        writer.transport.set_write_buffer_limits(0)  # drain() then means: given to the kernel
        task = asyncio.get_running_loop().create_task(self._converse(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    @abstractmethod
    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a peer until the connection is over, and close it."""

    async def _send(self, data: bytes | None, began: float, writer: asyncio.StreamWriter) -> None:
        """Answer on a connection that began at that time of the loop, as far as faults let it pass."""
        self.requests += 1
        faults, nth = self.faults, self.requests
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        age_s = asyncio.get_running_loop().time() - began
        if data is None or is_nth(nth, faults.drop_every) or 0 < faults.silent_after_s < age_s:
            return
        if is_nth(nth, faults.truncate_every):
            data = data[: len(data) // 2]
        size = -(-len(data) // SEGMENTS) if faults.split else len(data)
        for at in range(0, len(data), max(size, 1)):
            writer.write(data[at : at + size])
            await writer.drain()
            if faults.split:
                await asyncio.sleep(SEGMENT_GAP_S)


class Device(Listener[F], Generic[R, F]):
    """A device that knows its answers."""

    def __init__(self, speech: Speech[R, F], faults: F) -> None:
        super().__init__(faults)
        self.speech = speech

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer requests in their order until the peer closes the connection or sends what is no frame."""
        began, buffer = asyncio.get_running_loop().time(), bytearray()
        try:
            while received := await reader.read(4096):
                buffer += received
                while request := self.speech.take(buffer):
                    await self._send(self.speech.answer(request, self.faults), began, writer)
        except (FrameError, ConnectionError):
            pass
        finally:
            writer.transport.abort()


L = TypeVar("L", bound=Listener[Any])


@asynccontextmanager
async def listen(device: L, host: str, port: int) -> AsyncIterator[L]:
    """Serve a device on `host` (port 0: a free one, see ``Device.port``) while the context lasts.

    With `faults.refuse` the port is taken but nobody listens, so that connections are refused.
    Raises OSError where the port is not to be had.
    """
    with _bound(host, port) as listener:
        device.port = listener.getsockname()[1]
        if device.faults.refuse:
            yield device
            return
        server = await asyncio.start_server(device.accept, sock=listener)
        try:
            yield device
        finally:
            server.close()
            for connection in device.connections:
                connection.cancel()
            await asyncio.gather(*device.connections, return_exceptions=True)


async def run(name: str, host: str, serving: AbstractAsyncContextManager[Served]) -> None:
    """Serve until SIGTERM or SIGINT; says where on stdout once it listens. Raises OSError."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving as device:
        sys.stdout.write(f"{name} simulator on {host}:{device.port}\n")
        sys.stdout.flush()
        await stopped.wait()


def _bound(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener
