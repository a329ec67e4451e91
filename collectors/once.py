"""Read every tag of a collector once, as it would itself, and store nothing."""

from __future__ import annotations

import asyncio
import time
from contextlib import nullcontext
from typing import Any

from collectors.collect import loops
from collectors.contract import DeviceReport
from collectors.newest import Texts, values_of
from collectors.readings import Readings
from collectors.session import Home
from collectors.spec import CollectorSpec
from collectors.unit import Unit


async def read_once(
    spec: CollectorSpec, home: Home, texts: Texts
) -> tuple[list[dict[str, Any]], list[DeviceReport]]:
    """The values, shaped as :meth:`collectors.contract.StateDir.values` says, and how each device answered."""
    began = time.monotonic()
    units = [Unit(d, Readings(spec, d, _nowhere, began), lambda: None) for d in spec.devices]
    await asyncio.gather(*(loop.once() for loop in loops(spec, units, home, nullcontext)))
    return values_of(units, texts), [unit.report() for unit in units]


def _nowhere(line: str, points: int) -> None:
    """What is read once is shown, not stored."""
