"""A wire between a client and a server on which a test listens, and changes what the server says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class Relay:
    """`asked` is everything that clients sent; `change` what becomes of each piece that the server sends."""

    def __init__(self, target: int) -> None:
        self.port = 0
        self.asked = bytearray()
        self.change: Callable[[bytes], bytes] = bytes
        self.connections: set[asyncio.Task[None]] = set()
        self._target = target

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass_on(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def cut(self) -> None:
        """Close every connection, at both ends."""
        for connection in (cut := set(self.connections)):
            connection.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, upstream = await asyncio.open_connection("127.0.0.1", self._target)
        except BaseException:
            writer.transport.abort()
            raise

        async def ask() -> None:
            while data := await reader.read(65536):
                self.asked += data
                upstream.write(data)

        async def answer() -> None:
            while data := await there.read(65536):
                writer.write(self.change(data))

        tasks = [asyncio.create_task(ask()), asyncio.create_task(answer())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (upstream, writer):
                end.transport.abort()
                with suppress(ConnectionError):
                    await end.wait_closed()


@asynccontextmanager
async def relayed(target: int) -> AsyncIterator[Relay]:
    """A relay to that port of this machine while the context lasts."""
    relay = Relay(target)
    async with await asyncio.start_server(relay.accept, "127.0.0.1", 0) as server:
        relay.port = server.sockets[0].getsockname()[1]
        yield relay
        await relay.cut()
