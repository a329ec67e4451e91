"""One MELSEC connection; only reads, one request at a time.

1E and 3E answers do not say to which request they are: whatever is not the awaited answer closes the link, a
time-out too. 4E answers with another serial number are passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from collectors.model import Block, Device, Link, LinkLostError, NoAnswerError
from collectors.protocols.melsec import Access, place
from collectors.protocols.melsec_answers import ABNORMAL, Answer, WrongAnswerError, take
from collectors.protocols.melsec_codes import error
from collectors.protocols.melsec_frames import Request, pack, request

MOST_UNREAD = 1 << 16
"""Bytes that a device may send unasked before its link is closed."""


async def open_link(link: Link, timeout_s: float) -> MelsecConnection:
    """Connect. Raises LinkLostError."""
    loop = asyncio.get_running_loop()
    connection = MelsecConnection(link)
    try:
        async with asyncio.timeout(timeout_s):
            await loop.create_connection(lambda: connection, link.host, link.port)
    except OSError as failure:  # a TimeoutError is one
        reason = "ConnectTimeout" if isinstance(failure, TimeoutError) else "ConnectionRefused"
        where = f"{link.host}:{link.port} ({link.transport})"
        raise LinkLostError(reason, f"cannot connect to {where}") from None
    return connection


class MelsecConnection(asyncio.Protocol):
    """An open link."""

    def __init__(self, link: Link) -> None:
        self._numbered = link.transport.startswith("4E")
        self.patience = 2 if self._numbered else 1
        self._transport: asyncio.Transport | None = None
        self._data = bytearray()
        self._request: Request | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._serial = 0
        self._filler = b""

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it meanwhile."""
        return self._transport is not None and not self._transport.is_closing()

    async def read(self, device: Device, block: Block) -> Sequence[int]:
        """The words or bits of a block. Raises DeviceError."""
        access = cast(Access, device.access)
        answer = await self._ask(
            request(access, block.area, block.unit, block.start, block.count), device, block
        )
        if answer.end_code:
            raise error(access.frame, answer, place(access.series, block), device.name)
        return answer.values

    def close(self) -> None:
        """Close it."""
        if self._transport:
            self._transport.abort()

    async def _ask(self, request: Request, device: Device, block: Block) -> Answer:
        if self._transport is None or self._transport.is_closing():
            raise _lost("ConnectionLost", device, "the connection is closed")
        self._serial = self._serial % 0xFFFF + 1
        self._request, self._answer = request, asyncio.get_running_loop().create_future()
        try:
            self._transport.write(request.encode(self._serial))
            self._look()
            async with asyncio.timeout(device.timeout_s):
                return await self._answer
        except TimeoutError:
            if not self._numbered:
                self.close()
            where = place(cast(Access, device.access).series, block)
            raise NoAnswerError(
                "Timeout",
                f"cannot read {where} of {device.name}: no answer within {device.timeout_s:g} s",
            ) from None
        except WrongAnswerError as wrong:
            raise _lost("WrongAnswer", device, str(wrong)) from None
        except ConnectionError as failure:
            raise _lost("ConnectionLost", device, str(failure)) from None
        finally:
            self._request = self._answer = None

    def _look(self) -> None:
        """Find the awaited answer in what has arrived."""
        while self._data and self.is_open:
            if self._filler and self._data.startswith(self._filler):
                del self._data[: len(self._filler)]
                self._filler = b""
                continue
            if self._request is None or self._answer is None or self._answer.done():
                self._unasked()
                return
            try:
                found = take(self._request, self._serial, bytes(self._data))
                if found is None:
                    return
                del self._data[: found.length]
                if found.stale:
                    continue
                abnormal = self._request.frame == "1E" and found.end_code == ABNORMAL
                self._filler = pack(self._request.code, (0, 1)) if abnormal else b""
                if not self._harmless():
                    raise WrongAnswerError("an answer with more behind its end")
            except WrongAnswerError as wrong:
                self._answer.set_exception(wrong)
                self.close()
            else:
                self._answer.set_result(found)

    def _unasked(self) -> None:
        """Bytes have come while no request is under way."""
        if not self._harmless() or len(self._data) > MOST_UNREAD:
            self.close()

    def _harmless(self) -> bool:
        """Whether what is left cannot be taken for an answer: 4E tells a late one, and 1E fills up an error."""
        return self._numbered or not self._data or self._filler.startswith(self._data)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The link is open."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        self._data += data
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side has closed the link, or we have."""
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("the connection was closed by the other side"))


def _lost(reason: str, device: Device, why: str) -> LinkLostError:
    return LinkLostError(reason, f"cannot read {device.name}: {why}")
