"""What any simulated device may do wrong, on request."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Faults:
    """Nothing is wrong by default; counts of 0 mean never.

    ``delay_s`` passes before every answer. ``refuse``: connections are refused. ``drop_every`` N: every Nth
    request gets no answer; 1 makes a black hole. ``truncate_every`` N: every Nth request gets only the first
    half of its answer, on a connection that stays open. ``silent_after_s``: a connection that is older stays
    open but is not answered any more (half-open, as after a power cut). ``split``: every byte goes as its
    own segment.
    """

    delay_s: float = 0.0
    refuse: bool = False
    drop_every: int = 0
    truncate_every: int = 0
    silent_after_s: float = 0.0
    split: bool = False


def parse_delay(text: str) -> float:
    """``50ms`` or ``1.5s`` in seconds. Raises ValueError."""
    for suffix, seconds in (("ms", 0.001), ("s", 1.0)):
        digits = text.removesuffix(suffix)
        if digits != text and digits.replace(".", "", 1).isdecimal():
            return float(digits) * seconds
    raise ValueError(f"cannot read {text!r} as a delay; write it like 50ms or 1.5s")


def is_nth(n: int, every: int) -> bool:
    """Whether a fault that strikes every so many strikes the nth; never for 0."""
    return every > 0 and n % every == 0
