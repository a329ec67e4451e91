"""One MELSEC connection; only reads, one request at a time.

1E and 3E answers do not say to which request they are, 4E has a serial number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from collectors.model import Block, Device, Link, LinkLostError, NoAnswerError, WrongAnswerError
from collectors.protocols.exchange import Exchange
from collectors.protocols.melsec import Access, place
from collectors.protocols.melsec_answers import Answer, take
from collectors.protocols.melsec_codes import error
from collectors.protocols.melsec_frames import Request, request


async def open_link(link: Link, timeout_s: float) -> MelsecConnection:
    """Connect. Raises LinkLostError."""
    numbered = link.transport.startswith("4E")
    exchange: Exchange[Request, Answer] = Exchange(Request.encode, take, numbered=numbered)
    await exchange.open(link, timeout_s)
    return MelsecConnection(exchange, 2 if numbered else 1)


class MelsecConnection:
    """An open link."""

    def __init__(self, exchange: Exchange[Request, Answer], patience: int) -> None:
        self.patience = patience
        self._exchange = exchange
        self.close = exchange.close

    @property
    def is_open(self) -> bool:
        """Whether neither side has closed it meanwhile."""
        return self._exchange.is_open

    async def read(self, device: Device, block: Block) -> Sequence[int]:
        """The words or bits of a block. Raises DeviceError."""
        access = cast(Access, device.access)
        asked = request(access, block.area, block.unit, block.start, block.count)
        try:
            answer = await self._exchange.ask(asked, device.timeout_s)
        except TimeoutError:
            where = f"{place(access.series, block)} of {device.name}"
            raise NoAnswerError(
                "Timeout", f"cannot read {where}: no answer within {device.timeout_s:g} s"
            ) from None
        except WrongAnswerError as wrong:
            raise LinkLostError("WrongAnswer", f"cannot read {device.name}: {wrong}") from None
        except ConnectionError as failure:
            raise LinkLostError("ConnectionLost", f"cannot read {device.name}: {failure}") from None
        if answer.end_code:
            raise error(access.frame, answer, place(access.series, block), device.name)
        return answer.values
