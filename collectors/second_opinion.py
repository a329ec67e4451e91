"""The words at an address as an independent driver reads them: pymodbus for Modbus, pymcprotocol for MELSEC.

Our own codecs read devices; where a value looks wrong, a person at the machine wants to know whether the device or the
codec is. The drivers are asked over a connection of their own, after ours is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

from collectors.model import Device, Tag
from collectors.protocols.melsec_devices import KINDS
from collectors.spec import parse

Words = Sequence[int]


class NoOpinionError(Exception):
    """The driver cannot read it; the message is its own."""


def second_opinion(spec: Mapping[str, Any]) -> tuple[str, Callable[[], Words]] | None:
    """Name and version of the driver, and a call that reads the one tag of a spec by it; None where there is none.

    The call raises NoOpinionError.
    """
    parsed = parse("probe", spec)
    (device,) = parsed.devices
    (tag,) = device.tags
    options = spec["devices"][0]
    if spec["type"] == "modbus":
        return f"pymodbus {version('pymodbus')}", lambda: _modbus(device, tag)
    # It knows no 1E, and in ASCII it writes hexadecimal numbers in decimal.
    if spec["type"] == "melsec" and options.get("frame") in ("3E", "4E") and options.get("code") != "ascii":
        return f"pymcprotocol {version('pymcprotocol')}", lambda: _melsec(device, tag, options)
    return None


def _modbus(device: Device, tag: Tag) -> Words:
    from pymodbus import FramerType, ModbusException  # noqa: PLC0415  (70 ms)
    from pymodbus.client import ModbusTcpClient  # noqa: PLC0415

    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    framer = FramerType.RTU if device.link.transport == "rtu-over-tcp" else FramerType.SOCKET
    client = ModbusTcpClient(
        device.link.host, port=device.link.port, framer=framer, timeout=device.timeout_s, retries=0
    )
    read = {
        "holding": client.read_holding_registers,
        "input": client.read_input_registers,
        "coil": client.read_coils,
        "discrete": client.read_discrete_inputs,
    }[tag.address.area]
    try:
        answer = read(tag.address.offset, count=tag.count, device_id=device.unit)
    except ModbusException as error:
        raise NoOpinionError(str(error)) from error
    finally:
        client.close()  # type: ignore[no-untyped-call]
    if answer.isError():
        raise NoOpinionError(str(answer))
    return [int(bit) for bit in answer.bits[: tag.count]] if tag.address.unit == "bit" else answer.registers


def _melsec(device: Device, tag: Tag, options: Mapping[str, Any]) -> Words:
    import pymcprotocol  # noqa: PLC0415

    kind = KINDS[tag.address.area]
    number = tag.address.offset
    # X and Y are octal on some series; it takes them, as W and B, for hexadecimal.
    head = f"{kind.name}{number:X}" if kind.base == 16 else f"{kind.name}{number}"
    series = "iQ-R" if options["series"] == "iQ-R" else "Q"
    driver = (pymcprotocol.Type3E if options["frame"] == "3E" else pymcprotocol.Type4E)(plctype=series)
    driver.soc_timeout = device.timeout_s
    try:
        driver.connect(device.link.host, device.link.port)
        read = driver.batchread_bitunits if kind.unit == "bit" else driver.batchread_wordunits
        return [int(word) & 0xFFFF for word in read(head, tag.count)]
    except Exception as error:
        raise NoOpinionError(str(error) or type(error).__name__) from error
    finally:
        if driver._sock:  # its own close() leaves it open where connecting failed
            driver._sock.close()
