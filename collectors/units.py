"""Durations as manifests write them."""

from __future__ import annotations

import re

_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_ms(text: str) -> int:
    """Whole milliseconds of ``500ms 1s 5m 2h 7d``. Raises ValueError."""
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"{text!r} is no duration; write for example 500ms, 1s, 5m, 2h or 7d")
    return round(float(match[1]) * _MS[match[2]])


def parse_s(text: str) -> float:
    """Seconds of such a duration. Raises ValueError."""
    return parse_ms(text) / 1000
