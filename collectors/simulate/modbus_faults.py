"""What a simulated Modbus device does wrong, on request."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.simulate.modbus_memory import Area

_AREAS: tuple[Area, ...] = ("coil", "discrete", "input", "holding")


@dataclass(frozen=True, slots=True)
class Faults:
    """Nothing is wrong by default; counts of 0 mean never.

    ``delay_s`` passes before every answer. ``refuse``: connections are refused. ``drop_every`` N: every Nth
    request gets no answer. ``truncate_every`` N: every Nth request gets only the first half of its answer, on
    a connection that stays open. ``split``: every byte goes as its own segment. ``illegal``: these addresses
    are refused with exception 02. ``silent_units`` answer nothing. ``gateway``: for a unit that is silent or
    not there, answer with exception 0B as a gateway does, instead of nothing.
    """

    delay_s: float = 0.0
    refuse: bool = False
    drop_every: int = 0
    truncate_every: int = 0
    split: bool = False
    illegal: frozenset[tuple[Area, int]] = frozenset()
    silent_units: frozenset[int] = frozenset()
    gateway: bool = False


def parse_address(text: str) -> tuple[Area, int]:
    """``holding:900`` or ``input:0x10`` as area and zero-based address. Raises ValueError."""
    name, _, digits = text.partition(":")
    for area in _AREAS:
        if name == area:
            try:
                address = int(digits, 0)
            except ValueError:
                break
            if 0 <= address <= 0xFFFF:
                return area, address
    raise ValueError(f"cannot read {text!r} as an address; write it like holding:900 ({', '.join(_AREAS)})")


def parse_delay(text: str) -> float:
    """``50ms`` or ``1.5s`` in seconds. Raises ValueError."""
    for suffix, seconds in (("ms", 0.001), ("s", 1.0)):
        digits = text.removesuffix(suffix)
        if digits != text and digits.replace(".", "", 1).isdecimal():
            return float(digits) * seconds
    raise ValueError(f"cannot read {text!r} as a delay; write it like 50ms or 1.5s")
