"""One Modbus connection; only reads, one request at a time."""

from __future__ import annotations

from collections.abc import Sequence

from collectors.model import (
    Block,
    BusyError,
    Device,
    DeviceError,
    Link,
    LinkLostError,
    NoAnswerError,
    RefusedError,
    UnsupportedError,
    WrongAnswerError,
)
from collectors.protocols.exchange import Exchange
from collectors.protocols.modbus import describe
from collectors.protocols.modbus_frames import (
    Answer,
    Request,
    encode_rtu,
    encode_tcp,
    request,
    take_rtu,
    take_tcp,
)

_EXCEPTIONS = {
    1: ("IllegalFunction", UnsupportedError),
    2: ("IllegalDataAddress", RefusedError),
    3: ("IllegalDataValue", RefusedError),
    4: ("DeviceFailure", BusyError),
    5: ("Acknowledge", BusyError),
    6: ("DeviceBusy", BusyError),
    8: ("MemoryParityError", BusyError),
    10: ("GatewayPathUnavailable", NoAnswerError),
    11: ("GatewayTargetSilent", NoAnswerError),
}
"""Exception codes, Modbus Application Protocol 1.1b3 section 7."""


async def open_link(link: Link, timeout_s: float) -> ModbusConnection:
    """Connect. Raises LinkLostError."""
    numbered = link.transport == "tcp"
    codec = (encode_tcp, take_tcp) if numbered else (encode_rtu, take_rtu)
    exchange: Exchange[Request, Answer] = Exchange(*codec, numbered=numbered)
    await exchange.open(link, timeout_s)
    return ModbusConnection(exchange, 2 if numbered else 1)


class ModbusConnection:
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
        asked = request(device.unit, block.area, block.start, block.count)
        try:
            answer = await self._exchange.ask(asked, device.timeout_s)
        except TimeoutError:
            where = _place(device, block)
            raise NoAnswerError(
                "Timeout", f"cannot read {where}: no answer within {device.timeout_s:g} s"
            ) from None
        except WrongAnswerError as wrong:
            raise LinkLostError("WrongAnswer", f"cannot read {_place(device, block)}: {wrong}") from None
        except ConnectionError as failure:
            raise LinkLostError("ConnectionLost", f"cannot read {_place(device, block)}: {failure}") from None
        if answer.exception:
            raise _exception(answer.exception, device, block)
        return answer.values


def _exception(code: int, device: Device, block: Block) -> DeviceError:
    reason, kind = _EXCEPTIONS.get(code, (f"ModbusException{code}", BusyError))
    message = f"cannot read {_place(device, block)}: exception {code:02X} {reason}"
    return NoAnswerError(reason, message, heard=True) if kind is NoAnswerError else kind(reason, message)


def _place(device: Device, block: Block) -> str:
    return f"{describe(device, block)[1]} of {device.name}"
