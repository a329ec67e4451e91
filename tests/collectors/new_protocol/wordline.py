"""Lines of text: ``read 3 2`` is answered with two words, ``10 20``. The example of docs/adding-a-protocol.md."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from collectors.model import Address, Block, Device, Limits, Link, LinkLostError
from collectors.quantities import parse_duration

DEFAULTS: Mapping[str, Any] = {"port": 7007, "timeout": "3s"}
ORDER = TEXT_ORDER = "ABCD"
TOP_BIT = "15"
LAST = 99


def parse_address(tag: Mapping[str, Any], options: Mapping[str, Any]) -> Address:
    """A bare number."""
    text = str(tag.get("address", ""))
    if not text.isdecimal():
        raise ValueError(f"{text!r} is no address; write a number from 0 to {LAST}")
    return Address("words", int(text), "word")


def parse_limits(options: Mapping[str, Any]) -> Limits:
    """Up to ten words a request."""
    return Limits(words=10, bits=0, gap=2)


def parse_device(name: str, options: Mapping[str, Any]) -> Device:
    """One device a connection."""
    link = Link(str(options["host"]), int(options["port"]), "tcp")
    return Device(
        name=name,
        link=link,
        unit=0,
        endpoint=f"{link.host}:{link.port}",
        timeout_s=parse_duration(options["timeout"]),
        pause_s=0.0,
        limits=parse_limits(options),
    )


async def connect(link: Link, timeout_s: float) -> Lines:
    """Open a link. Raises LinkLostError."""
    try:
        async with asyncio.timeout(timeout_s):
            return Lines(*await asyncio.open_connection(link.host, link.port))
    except (OSError, TimeoutError) as error:
        raise LinkLostError(
            "ConnectionRefused", f"cannot connect to {link.host}:{link.port}: {error}"
        ) from error


class Lines:
    """An open link."""

    patience = 1

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @property
    def is_open(self) -> bool:
        """Until the other side closes it."""
        return not self._reader.at_eof()

    async def read(self, device: Device, block: Block) -> Sequence[int]:
        """The words of a block. Raises LinkLostError."""
        self._writer.write(f"read {block.start} {block.count}\n".encode())
        try:
            async with asyncio.timeout(device.timeout_s):
                words = [int(word) for word in (await self._reader.readline()).split()]
        except (OSError, TimeoutError, ValueError) as error:
            raise LinkLostError("ConnectionLost", f"cannot read from {device.endpoint}: {error}") from error
        if len(words) != block.count:
            raise LinkLostError("WrongAnswer", f"cannot use {len(words)} words in place of {block.count}")
        return words

    def close(self) -> None:
        """Never raises."""
        self._writer.close()
