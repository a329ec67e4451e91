"""One Modbus connection, over pymodbus; only reads.

What the driver leaves open is closed here: it accepts an answer of another function, of another length or
with transaction id 0, and a request whose connection breaks waits until its time is out.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from pymodbus import FramerType
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

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
)
from collectors.protocols.modbus import describe

logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # it reports every timeout; we report changes

_FRAMERS = {"tcp": FramerType.SOCKET, "rtu-over-tcp": FramerType.RTU}
_FUNCTIONS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}

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
    connection = ModbusConnection(link, timeout_s)
    await connection.open()
    return connection


class ModbusConnection:
    """An open link; the caller sends one request at a time."""

    def __init__(self, link: Link, timeout_s: float) -> None:
        # RTU frames carry no transaction id: a late answer would be taken for the next one.
        self.patience = 2 if link.transport == "tcp" else 1
        self._link = link
        self._client = AsyncModbusTcpClient(
            link.host,
            port=link.port,
            framer=_FRAMERS[link.transport],
            timeout=timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._changed,
        )
        self._waiting = False

    async def open(self) -> None:
        """Connect. Raises LinkLostError."""
        link, started = self._link, time.monotonic()
        if not await self._client.connect():
            self._client.close()
            slow = time.monotonic() - started >= self._client.comm_params.timeout_connect
            reason = "ConnectTimeout" if slow else "ConnectionRefused"
            raise LinkLostError(reason, f"cannot connect to {link.host}:{link.port} ({link.transport})")

    @property
    def is_open(self) -> bool:
        """Whether the other side has not closed it meanwhile."""
        return bool(self._client.connected)

    async def read(self, device: Device, block: Block) -> Sequence[int]:
        """The words or bits of a block. Raises DeviceError."""
        client = self._client
        if not self.is_open:  # otherwise the driver would connect by itself
            raise self._lost("ConnectionLost", device, block, "the connection is closed")
        client.comm_params.timeout_connect = device.timeout_s
        self._waiting = True
        try:
            answer = await self._request(device, block)
        except (ConnectionException, ConnectionError) as error:
            raise self._lost("ConnectionLost", device, block, str(error)) from None
        except ModbusException:
            raise NoAnswerError(
                "Timeout", f"cannot read {_place(device, block)}: no answer within {device.timeout_s:g} s"
            ) from None
        finally:
            self._waiting = False
        if answer.isError():
            raise _exception(answer.exception_code, device, block)
        data: Sequence[int] = answer.bits if block.unit == "bit" else answer.registers
        expected = -(-block.count // 8) * 8 if block.unit == "bit" else block.count
        if answer.function_code != _FUNCTIONS[block.area] or len(data) != expected:
            raise self._lost("WrongAnswer", device, block, "the answer is of another request")
        if self._link.transport == "tcp" and answer.transaction_id == 0:
            raise self._lost("WrongAnswer", device, block, "the answer has no transaction id")
        return data

    def close(self) -> None:
        """Close it."""
        self._client.close()

    async def _request(self, device: Device, block: Block) -> ModbusPDU:
        client = self._client
        reads = {
            "coil": client.read_coils,
            "discrete": client.read_discrete_inputs,
            "holding": client.read_holding_registers,
            "input": client.read_input_registers,
        }
        answer: ModbusPDU = await reads[block.area](block.start, count=block.count, device_id=device.unit)
        return answer

    def _changed(self, connected: bool) -> None:
        """A request under way ends with its connection, at once."""
        future = self._client.ctx.response_future
        if self._waiting and not connected and not future.done():
            future.set_exception(ConnectionResetError("the connection was closed by the other side"))

    def _lost(self, reason: str, device: Device, block: Block, why: str) -> LinkLostError:
        return LinkLostError(reason, f"cannot read {_place(device, block)}: {why}")


def _exception(code: int, device: Device, block: Block) -> DeviceError:
    reason, kind = _EXCEPTIONS.get(code, (f"ModbusException{code}", BusyError))
    message = f"cannot read {_place(device, block)}: exception {code:02X} {reason}"
    return NoAnswerError(reason, message, heard=True) if kind is NoAnswerError else kind(reason, message)


def _place(device: Device, block: Block) -> str:
    return f"{describe(device, block)[1]} of {device.name}"
