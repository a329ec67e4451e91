"""The values a collector speaks of, and what it asks of a protocol: immutable, no files, sockets or clocks.

A *tag* is what a manifest declares; it expands to one *field* per value (arrays and ``bits`` give several).
A *word* is 16 bits. ``*_s`` are seconds, ``*_ns`` nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

Value = bool | int | float | str
"""What a good reading holds; an int fits 64 bits with sign, a float is finite."""

Quality = Literal["good", "bad", "stale"]
"""``bad``: the device answered, but no value. ``stale``: it has not answered for three intervals."""


class Bad(NamedTuple):
    """A reading that is no value, and the CamelCase reason."""

    reason: str


class Address(NamedTuple):
    """Where a tag starts, zero-based in an area of words or bits; ``bit`` 0 is the least significant."""

    area: str
    offset: int
    unit: Literal["word", "bit"] = "word"
    bit: int | None = None


class Limits(NamedTuple):
    """What one request may hold, and how many unwanted words or bits it may span between two wanted ones."""

    words: int
    bits: int
    gap: int


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag of one device, defaults filled in.

    ``text`` is the address as written; ``width`` the words (or bits) of one value; ``fields`` one name per
    value, or one per entry of ``bits`` (bit numbers). Where a scale or offset is written (``scaled``), a
    value v is stored as v × scale + offset, both numerators over ``denominator``. ``every`` counts intervals.
    """

    name: str
    address: Address
    text: str
    type: str
    width: int
    fields: tuple[str, ...]
    order: str = "ABCD"
    length: int = 0
    count: int = 1
    bits: tuple[int, ...] = ()
    scaled: bool = False
    scale: int = 1
    offset: int = 0
    denominator: int = 1
    every: int = 1
    deadband: float | None = None
    at_least_every_s: float | None = None

    @property
    def stored_as(self) -> str:
        """The type of its fields in a sink; empty where only the device knows."""
        if self.bits or self.type == "bool":
            return "boolean"
        if self.type == "string":
            return "string"
        if self.scaled or self.type.startswith("float"):
            return "float"
        return "integer" if self.type else ""


class Link(NamedTuple):
    """Where to connect; devices of equal links share one connection."""

    host: str
    port: int
    transport: str


@dataclass(frozen=True, slots=True)
class Device:
    """One device: how it is reached and what is read on it. ``unit`` tells it from others on its link.

    ``access`` is what its protocol needs to know besides; devices of equal limits and access read tags alike.
    """

    name: str
    link: Link
    unit: int
    endpoint: str
    timeout_s: float
    pause_s: float
    limits: Limits
    labels: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[Tag, ...] = ()
    access: Hashable = None


@dataclass(frozen=True, slots=True)
class Piece:
    """``count`` values of a tag from its value ``first``, at word (or bit) ``offset`` of their block."""

    tag: Tag
    offset: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class Block:
    """One request: ``count`` words (or bits) of an area from ``start``, zero-based."""

    area: str
    unit: Literal["word", "bit"]
    start: int
    count: int
    pieces: tuple[Piece, ...]


class OptionError(ValueError):
    """A key of a device that is wrong or missing; says what would be right."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class DeviceError(Exception):
    """A read or a connection that failed; ``reason`` is CamelCase, the message begins with "cannot"."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class RefusedError(DeviceError):
    """The device answered that it will not give this block, though it may give parts of it."""


class UnsupportedError(RefusedError):
    """The device answered that it does not know such requests; no part of the block will do better."""


class BusyError(DeviceError):
    """The device answered that it cannot now; try again in the next slot."""


class NoAnswerError(DeviceError):
    """The unit did not answer; the link may be sound. ``heard``: a gateway answered in its place."""

    def __init__(self, reason: str, message: str, *, heard: bool = False) -> None:
        super().__init__(reason, message)
        self.heard = heard


class LinkLostError(DeviceError):
    """The connection is not there, or what came over it cannot be trusted: it is closed and made anew."""


class WrongAnswerError(Exception):
    """Bytes that are no answer to a question; what follows them cannot be trusted either. Raised by codecs."""


class Connection(Protocol):
    """An open link; ``patience``: so many time-outs with no answer between them, and it is to be closed."""

    patience: int

    @property
    def is_open(self) -> bool:
        """Whether the other side has not closed it meanwhile."""

    async def read(self, device: Device, block: Block) -> Sequence[int]:
        """The words (or bits, 0 or 1) of a block, exactly ``block.count``. Raises DeviceError."""

    def close(self) -> None:
        """Close it; never raises."""


class ProtocolFile(Protocol):
    """What a file of ``collectors/protocols`` offers; importing it must not import a driver."""

    DEFAULTS: Mapping[str, Any]
    """Device keys with their defaults, in the manifest's spelling."""
    URL_PATH: str
    """The device key that stands as path in a URL such as ``modbus://host:502/1``; empty for none."""
    REQUEST_S: float
    """What a request takes an ordinary device, to estimate a cycle that was never measured."""
    ORDER: str
    """The byte order of tags that name none."""
    TEXT_ORDER: str
    """The same of strings; ABCD has the first character in the high byte of a word, BADC in the low one."""
    TOP_BIT: str
    """The highest bit of a word, as addresses write it."""
    LAST: int
    """The highest zero-based offset of an area."""

    def parse_address(self, tag: Mapping[str, Any], options: Mapping[str, Any]) -> Address:
        """Where a tag (manifest shape) stands. Raises ValueError that says what would be right."""

    def parse_limits(self, options: Mapping[str, Any]) -> Limits:
        """The request limits of a device, from its keys with defaults."""

    def parse_device(self, name: str, options: Mapping[str, Any]) -> Device:
        """A device without labels and tags, from its keys with defaults. Raises OptionError."""

    def describe(self, device: Device, block: Block) -> tuple[str, str]:
        """The function of a block's request and the range it spans, in the words of the protocol's manual."""

    async def connect(self, link: Link, timeout_s: float) -> Connection:
        """Open a link. Raises LinkLostError."""
