"""One question, one answer, over one TCP connection: what protocols of that kind share.

The codec says how a question is encoded and finds its answer in what has arrived. Answers that carry a serial number
(a transaction id) tell a late one, which is passed over. Where they do not, whatever is not the awaited answer, a
time-out too, closes the connection: a late answer would be taken for the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

from collectors.model import Link, LinkLostError, WrongAnswerError

MOST_UNREAD = 1 << 16
"""Bytes that a device may send unasked before its connection is closed."""
LAST_SERIAL = 0xFFFF


class Found(Protocol):
    """A whole answer of ``length`` bytes; ``stale``: to another question. ``filler`` may follow it, meaning nothing."""

    @property
    def length(self) -> int:
        """Bytes of it."""

    @property
    def stale(self) -> bool:
        """Whether it has another serial number."""

    @property
    def filler(self) -> bytes:
        """What may follow."""


Q = TypeVar("Q")
A = TypeVar("A", bound=Found)

Encode = Callable[[Q, int], bytes]
"""A question and its serial number as they go over the wire."""
Take = Callable[[Q, int, bytes], A | None]
"""The answer that bytes begin with; None while it is not whole. Raises WrongAnswerError as soon as it is none."""


class Exchange(asyncio.Protocol, Generic[Q, A]):
    """An open connection; ``numbered``: its answers carry serial numbers."""

    def __init__(self, encode: Encode[Q], take: Take[Q, A], *, numbered: bool) -> None:
        self._encode = encode
        self._take = take
        self._numbered = numbered
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._data = b""
        self._question: Q | None = None
        self._answer: asyncio.Future[A] | None = None
        self._serial = 0
        self._filler = b""

    async def open(self, link: Link, timeout_s: float) -> None:
        """Connect. Raises LinkLostError."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._loop.create_connection(lambda: self, link.host, link.port)
        except OSError as failure:  # a TimeoutError is one
            reason = "ConnectTimeout" if isinstance(failure, TimeoutError) else "ConnectionRefused"
            where = f"{link.host}:{link.port} ({link.transport})"
            raise LinkLostError(reason, f"cannot connect to {where}") from None

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it meanwhile."""
        return self._transport is not None and not self._transport.is_closing()

    def close(self) -> None:
        """Close it."""
        if self._transport:
            self._transport.abort()

    async def ask(self, question: Q, timeout_s: float) -> A:
        """The answer. Raises TimeoutError, WrongAnswerError or ConnectionError; one question at a time."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._serial = self._serial % LAST_SERIAL + 1
        self._question, self._answer = question, self._loop.create_future()
        timer = self._loop.call_later(timeout_s, self._expire)
        try:
            self._transport.write(self._encode(question, self._serial))
            if self._data:
                self._look()
            return await self._answer
        finally:
            timer.cancel()
            self._question = self._answer = None

    def _expire(self) -> None:
        """No answer in time."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(TimeoutError())
        if not self._numbered:
            self.close()

    def _look(self) -> None:
        """Find the awaited answer in what has arrived."""
        while self._data and self.is_open:
            if self._filler and self._data.startswith(self._filler):
                self._data = self._data[len(self._filler) :]
                self._filler = b""
                continue
            if self._question is None or self._answer is None or self._answer.done():
                self._unasked()
                return
            try:
                found = self._take(self._question, self._serial, self._data)
                if found is None:
                    return
                self._data = self._data[found.length :]
                if found.stale:
                    continue
                self._filler = found.filler
                if not self._harmless():
                    raise WrongAnswerError("an answer with more behind its end")
            except WrongAnswerError as wrong:
                self._answer.set_exception(wrong)
                self.close()
            else:
                self._answer.set_result(found)

    def _unasked(self) -> None:
        """Bytes have come while no question is under way."""
        if not self._harmless() or len(self._data) > MOST_UNREAD:
            self.close()

    def _harmless(self) -> bool:
        """Whether what is left cannot be taken for an answer: a serial number tells a late one."""
        return self._numbered or not self._data or self._filler.startswith(self._data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._data += data
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has closed it, or we have."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the connection was closed by the other side"))
