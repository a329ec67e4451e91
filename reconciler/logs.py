"""Reading the logs of children, which only ever grow at their end and lose their head."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

BLOCK = 65536
LOOK_EVERY_S = 0.2


def last_lines(path: Path, count: int) -> tuple[str, int]:
    """The last `count` lines, and the position behind them. Raises OSError."""
    with path.open("rb") as file:
        end = begin = file.seek(0, os.SEEK_END)
        data = b""
        while begin and data.count(b"\n") <= count:
            step = min(BLOCK, begin)
            begin -= step
            file.seek(begin)
            data = file.read(step) + data
    lines = data.splitlines(keepends=True)
    return b"".join(lines[-count:] if count else []).decode(errors="replace"), end


def follow(path: Path, position: int) -> Iterator[str]:
    """Whatever is written behind `position`, without end. Where the head was cut off, from the new end on."""
    rest = b""
    while True:
        try:
            with path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                position = min(position, size)
                file.seek(position)
                data = rest + file.read(BLOCK)
                position = file.tell()
        except FileNotFoundError:
            data = rest
        whole, newline, rest = data.rpartition(b"\n")
        if newline:
            yield (whole + newline).decode(errors="replace")
        if position >= size_of(path):
            time.sleep(LOOK_EVERY_S)


def size_of(path: Path) -> int:
    """Bytes in a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
