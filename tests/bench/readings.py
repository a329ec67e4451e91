"""What a collector writes: ten devices of twenty values that wander, ten lines a second."""

from __future__ import annotations

import random

FIELDS, LINES = 20, 10
AT_ONCE = FIELDS * LINES
"""Points of a body."""


def readings(seconds: int = 50) -> list[bytes]:
    """One body a second, the same ones each time."""
    chance = random.Random(7)
    values = [[round(chance.uniform(0, 500), 1) for _ in range(FIELDS)] for _ in range(LINES)]
    bodies = []
    for second in range(seconds):
        lines = []
        for device, old in enumerate(values):
            values[device] = new = [round(v + chance.choice((0, 0, 0.1, -0.1)), 1) for v in old]
            fields = ",".join(f"zone_{n}={v}" for n, v in enumerate(new))
            at_ns = (1_800_000_000 + second) * 10**9 + chance.randrange(10**9)
            lines.append(f"press,collector=press-line,device=press-{device} {fields} {at_ns}")
        bodies.append("\n".join(lines).encode())
    return bodies
