"""Waiting for what another process does: until it is so, or a deadline passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

LOOK_EVERY_S = 0.005


def wait_until(condition: Callable[[], T], what: str, deadline_s: float = 10.0) -> T:
    """The first true value of `condition`. Fails after `deadline_s`, saying `what` was waited for."""
    end = time.monotonic() + deadline_s
    pause = threading.Event()
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {deadline_s:g} s for {what}"
        pause.wait(LOOK_EVERY_S)
    return value
