"""Durations and sizes as manifests write them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

Units = Mapping[str, Fraction]

DURATION_UNITS: Units = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
"""Seconds of each unit."""
SIZE_UNITS: Units = {
    name: Fraction(1024**power) for power, name in enumerate(("B", "KiB", "MiB", "GiB", "TiB"))
}
"""Bytes of each unit."""

_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]+)")


def parse_duration(text: str) -> float:
    """Seconds of ``500ms``, ``1s``, ``5m``, ``2h`` or ``7d``. Raises ValueError saying what is right."""
    return float(_parse(text, DURATION_UNITS, "a duration: write for example 500ms, 1s, 5m, 2h or 7d"))


def parse_size(text: str) -> int:
    """Bytes of ``64KiB``, ``256MiB`` or ``1GiB``. Raises ValueError saying what is right."""
    return int(_parse(text, SIZE_UNITS, "a size: write for example 64KiB, 256MiB or 1GiB"))


@lru_cache(maxsize=4096)
def canonical_duration(text: str) -> str:
    """One spelling for equal durations: ``60s`` and ``60000ms`` are ``1m``. Raises ValueError."""
    return _spell(_parse(text, DURATION_UNITS, "a duration"), DURATION_UNITS)


@lru_cache(maxsize=4096)
def canonical_size(text: str) -> str:
    """One spelling for equal sizes: ``1024KiB`` is ``1MiB``. Raises ValueError."""
    return _spell(Fraction(parse_size(text)), SIZE_UNITS)


def _parse(text: str, units: Units, wanted: str) -> Fraction:
    match = _QUANTITY.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"{text!r} is not {wanted}")
    return Fraction(match[1]) * units[match[2]]


def _spell(value: Fraction, units: Units) -> str:
    if not value:
        return f"0{'s' if 's' in units else 'B'}"
    for unit, size in reversed(list(units.items())):
        if (count := value / size).denominator == 1:
            return f"{count}{unit}"
    smallest, size = next(iter(units.items()))
    return f"{float(value / size)!r}{smallest}"
