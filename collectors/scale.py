"""What becomes of a number as a device sent it: checks, and its scale, rounded once. Pure."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import isfinite
from typing import Any

from collectors.model import Bad, Tag, Value

Decoded = Value | Bad
Step = Callable[[Any], Decoded]

NOT_A_NUMBER = Bad("NotANumber")
INFINITE = Bad("Infinite")
OUT_OF_RANGE = Bad("OutOfRange")
NOT_BCD = Bad("NotBcd")


def number(tag: Tag, value: int | float) -> Decoded:
    """A number that came as such, checked and scaled as those made of words are."""
    if isinstance(value, float):
        checked = finite(value)
        if tag.scaled and not isinstance(checked, Bad):
            return _scaled_float(tag.scale, tag.offset, tag.denominator, value)
        return checked
    if tag.scaled:
        return _scaled_int(tag.scale, tag.offset, tag.denominator, value)
    return _in_64_bit(value)


def step_of(tag: Tag) -> Step | None:
    """What becomes of a number as unpacked: checks, then its scale."""
    check = _CHECKS.get(tag.type)
    if not tag.scaled:
        return check
    by = (tag.scale, tag.offset, tag.denominator)
    if tag.type.startswith("float"):
        return partial(_checked, finite, partial(_scaled_float, *by))
    if tag.scale == 1 and not tag.offset and check is None:
        return tag.denominator.__rtruediv__  # v / denominator, with no frame of Python for each value
    scale = partial(_scaled_int, *by)
    return partial(_checked, check, scale) if check else scale


def _checked(check: Step, then: Step, value: Any) -> Decoded:
    checked = check(value)
    return checked if isinstance(checked, Bad) else then(checked)


def finite(value: float) -> Decoded:
    """A float that is a number."""
    if isfinite(value):
        return value
    return NOT_A_NUMBER if value != value else INFINITE  # noqa: PLR0124  (NaN is not itself)


def _in_64_bit(value: int) -> Decoded:
    return value if -(2**63) <= value < 2**63 else OUT_OF_RANGE


def _bcd(value: int) -> Decoded:
    digits = f"{value:x}"
    return int(digits) if digits.isdecimal() else NOT_BCD


_CHECKS: dict[str, Callable[..., Decoded]] = {
    "float32": finite,
    "float64": finite,
    "uint64": _in_64_bit,
    "bcd16": _bcd,
    "bcd32": _bcd,
}


def _scaled_int(scale: int, offset: int, denominator: int, value: int) -> Decoded:
    """Exact up to the one division, which Python rounds correctly."""
    try:
        return (value * scale + offset) / denominator
    except OverflowError:
        return OUT_OF_RANGE


def _scaled_float(scale: int, offset: int, denominator: int, value: float) -> Decoded:
    over, under = value.as_integer_ratio()
    return _scaled_int(scale, offset * under, denominator * under, over)
