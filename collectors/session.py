"""What the collector asks of a protocol that holds sessions and answers tag by tag, each in its own time.

A session's device is no row of registers: it knows its tags by name, gives every value its own status and
timestamp, and may send what changes by itself. Schedule, retries, quality, storage and reports are the
collector's business here as they are for polled blocks (:mod:`collectors.model`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from collectors.contract import StateDir
from collectors.model import Address, Bad, Device, Value


class Sample(NamedTuple):
    """One answer for the tag of that index in ``Device.tags``; ``note`` says what is special of a value."""

    tag: int
    value: Value | Bad
    at_ns: int
    note: str = ""


class Refusal(NamedTuple):
    """Why the device gives no values of a tag, and since when (epoch seconds)."""

    reason: str
    since: float


class Home(NamedTuple):
    """Where the process lives: its state, the directory its manifest's paths start at, its node's name."""

    state: StateDir
    directory: Path
    node: str


class Source(Protocol):
    """One device, over one session at a time; every call but ``close`` raises LinkLostError.

    ``refused``: tags (by index) left alone until ``retry`` or the next ``open``. ``lost``: values the device
    dropped because they were not fetched in time.
    """

    lost: int

    @property
    def refused(self) -> Mapping[int, Refusal]:
        """Tags left alone, and why."""

    @property
    def sends(self) -> bool:
        """Whether the device sends by itself (:meth:`receive`), or is to be asked (:meth:`read`)."""

    async def open(self) -> Sequence[Sample]:
        """Begin a new session; one sample for every tag."""

    async def receive(self) -> Sequence[Sample]:
        """Wait for what the device sends next; nothing in it means that it lives and nothing changed."""

    async def read(self) -> Sequence[Sample]:
        """Ask for every tag that is not refused."""

    async def retry(self) -> Sequence[Sample]:
        """Ask again for every tag that is."""

    async def close(self) -> None:
        """End the session, if there is one; never raises."""


@runtime_checkable
class SessionFile(Protocol):
    """What a file of ``collectors/protocols`` offers instead of :class:`collectors.model.ProtocolFile`."""

    DEFAULTS: Mapping[str, Any]

    def parse_address(self, tag: Mapping[str, Any], options: Mapping[str, Any]) -> Address:
        """Of what kind a tag's address is; ``offset`` has no meaning. Raises ValueError."""

    def parse_device(self, name: str, options: Mapping[str, Any]) -> Device:
        """A device without labels and tags, from its keys with defaults. Raises ValueError."""

    def source(self, device: Device, home: Home) -> Source:
        """The device to talk to; nothing is opened yet."""
