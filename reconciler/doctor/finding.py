"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """``fail`` keeps daq from working, ``warn`` from working as well as it could; the message says what to do."""

    level: Literal["ok", "warn", "fail"]
    check: str
    message: str


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding("ok", check, message)


def warn(check: str, message: str) -> Finding:
    """It works, but less well."""
    return Finding("warn", check, message)


def fail(check: str, message: str) -> Finding:
    """It does not work."""
    return Finding("fail", check, message)
