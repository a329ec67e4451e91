"""A front before a server that has no faults of its own: passes connections on, and lets faults befall answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from collectors.simulate.server import F, Listener


class Front(Listener[F]):
    """Connections go on to `target` (host and port); while that is None they are refused.

    `size_of` says how long a message of the server is in all, from its first `header` bytes.
    """

    def __init__(self, faults: F, header: int, size_of: Callable[[bytes], int]) -> None:
        super().__init__(faults)
        self.target: tuple[str, int] | None = None
        self._header = header
        self._size_of = size_of

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.target is not None:
                await self._connect(self.target, reader, writer)
        except ConnectionError:
            pass  # nobody is there
        finally:
            writer.transport.abort()

    async def _connect(
        self, target: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        there, upstream = await asyncio.open_connection(*target)
        asking = asyncio.create_task(self._ask(reader, upstream))
        answering = asyncio.create_task(self._answer(there, writer))
        try:
            await asyncio.wait([asking, answering], return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
            answering.cancel()
            await asyncio.gather(asking, answering, return_exceptions=True)
            upstream.transport.abort()

    @staticmethod
    async def _ask(reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> None:
        while received := await reader.read(65536):
            upstream.write(received)
            await upstream.drain()

    async def _answer(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        began = asyncio.get_running_loop().time()
        while True:
            head = await there.readexactly(self._header)
            rest = await there.readexactly(self._size_of(head) - len(head))
            await self._send(head + rest, began, writer)
