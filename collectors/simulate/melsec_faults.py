"""What a simulated PLC does wrong, on request."""

from __future__ import annotations

import re
from dataclasses import dataclass

from collectors.simulate import faults


@dataclass(frozen=True, slots=True)
class Faults(faults.Faults):
    """Besides what any device may do wrong.

    ``illegal``: devices of these numbers are refused as out of range. ``stale_every`` N: every Nth answer has
    the serial number of the request before (4E).
    """

    illegal: frozenset[tuple[str, int]] = frozenset()
    stale_every: int = 0


def parse_device(text: str) -> tuple[str, int]:
    """``D900`` or ``X0x1F`` as device and number. Raises ValueError."""
    found = re.fullmatch(r"([A-Z]{1,2})(0x[0-9A-Fa-f]+|[0-9]+)", text)
    if not found:
        raise ValueError(f"cannot read {text!r} as a device; write it like D900 or X0x1F")
    return found[1], int(found[2], 0) if found[2].startswith("0x") else int(found[2])
