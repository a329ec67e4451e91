"""Values that move as a plant's do; each a function of time (seconds) alone: equal times, equal values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Signal = Callable[[float], float]

NOISE_EVERY_S = 0.5


def chance(seed: int, n: int) -> float:
    """A number in [0, 1) that looks random and is fixed by `seed` and `n` (splitmix64)."""
    x = (seed * 0x9E3779B97F4A7C15 + (n + 1) * 0xD1B54A32D192ED03) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (x ^ (x >> 31)) / 2**64


def swing(low: float, high: float, period_s: float, *, noise: float = 0.0, seed: int = 0) -> Signal:
    """A slow swing between `low` and `high` with up to ±`noise` on it; the phase comes from the seed."""
    phase = chance(seed, -2)

    def at(t: float) -> float:
        middle = (low + high) / 2 + (high - low) / 2 * math.sin(math.tau * (t / period_s + phase))
        return middle + noise * (2 * chance(seed, int(t / NOISE_EVERY_S)) - 1)

    return at


def consumed(rate: float, *, share: float = 0.5, period_s: float = 600.0) -> Signal:
    """What `rate` per second adds up to while it swings by ± `share` < 1 of itself: it only grows."""
    return lambda t: rate * (t + share * period_s / math.tau * (1 - math.cos(math.tau * t / period_s)))


def counted(every_s: float) -> Signal:
    """One more every `every_s`."""
    return lambda t: float(math.floor(t / every_s))


def now_and_then(every_s: float, for_s: float, *, seed: int = 0) -> Signal:
    """1 for `for_s` at an unforeseeable moment of each `every_s`, else 0."""

    def at(t: float) -> float:
        window, passed = divmod(t, every_s)
        begin = chance(seed, int(window)) * (every_s - for_s)
        return float(begin <= passed < begin + for_s)

    return at


def chosen(values: Sequence[float], every_s: float, *, seed: int = 0) -> Signal:
    """One of `values` at a time, chosen anew every `every_s`; a setpoint."""
    return lambda t: values[int(chance(seed, int(t / every_s)) * len(values))]


def phases(values: Sequence[float], durations_s: Sequence[float]) -> Signal:
    """Each of `values` for its duration, over and over; the states of a machine cycle."""
    total = sum(durations_s)

    def at(t: float) -> float:
        passed = t % total
        for value, duration in zip(values, durations_s, strict=True):
            if passed < duration:
                return value
            passed -= duration
        return values[-1]

    return at
