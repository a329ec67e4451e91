"""A line that says what takes so long, on a terminal, after a second; gone when it is done."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 1.0


@contextmanager
def progress(doing: str) -> Iterator[None]:
    """``<doing> … 3 s`` on stderr for as long as the context lasts."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_tick, args=(doing, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _tick(doing: str, done: threading.Event) -> None:
    seconds = 0
    while not done.wait(PATIENCE_S):
        seconds += 1
        sys.stderr.write(f"\r{doing} … {seconds} s")
        sys.stderr.flush()
    if seconds:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
