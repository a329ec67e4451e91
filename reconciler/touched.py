"""Of which names anything is another object than it was: a pass looks closely at these only. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def touched(before: Sequence[Mapping[str, object]], now: Sequence[Mapping[str, object]]) -> set[str]:
    """Names of which any of these mappings holds another object than its forerunner, or none any more."""
    found: set[str] = set()
    for old, new in zip(before, now, strict=True):
        if old is not new:
            found.update([name for name, value in new.items() if old.get(name) is not value])
            found.update(old.keys() - new.keys())
    return found
