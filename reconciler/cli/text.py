"""Plain text for people: tables that align also with Chinese titles, durations, sparklines, colours."""

from __future__ import annotations

import os
import shutil
import sys
import unicodedata
from collections.abc import Sequence

import typer

BLOCKS = "▁▂▃▄▅▆▇█"
COLOURS = {
    "healthy": typer.colors.GREEN,
    "degraded": typer.colors.YELLOW,
    "down": typer.colors.RED,
    "ok": typer.colors.GREEN,
    "warn": typer.colors.YELLOW,
    "fail": typer.colors.RED,
}
"""Of words that stand first in a line."""


def width(text: str) -> int:
    """Columns of a terminal that `text` takes."""
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text
    )


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, fit: int | None = None, elastic: int = 1
) -> str:
    """Left-aligned columns, two spaces apart, no trailing blanks; cells of column `elastic` are cut to `fit`."""
    lines = [list(header), *map(list, rows)]
    widths = [max(width(line[i]) for line in lines) for i in range(len(header))]
    if fit is not None and (excess := sum(widths) + 2 * (len(widths) - 1) - fit) > 0:
        widths[elastic] = max(8, widths[elastic] - excess)
        for line in lines:
            line[elastic] = cut(line[elastic], widths[elastic])
    return "\n".join(
        "  ".join(cell + " " * (w - width(cell)) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def cut(text: str, columns: int) -> str:
    """At most so many columns, with an ellipsis where something was left out."""
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return f"{text}…"


def columns() -> int | None:
    """Those of the terminal that is written to; None where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def painted(text: str) -> str:
    """Lines whose first word has a colour in that colour, on a terminal that wants it."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return "\n".join(map(_painted, text.split("\n")))


def _painted(line: str) -> str:
    word = line.partition(" ")[0]
    if word not in COLOURS:
        return line
    return typer.style(word, fg=COLOURS[word], bold=word in ("down", "fail")) + line[len(word) :]


def sparkline(values: Sequence[float]) -> str:
    """A block for each value, the highest as high as it gets; a flat zero is the lowest."""
    top = max(values, default=0.0)
    return "".join(BLOCKS[min(7, int(v / top * 8))] if top > 0 else BLOCKS[0] for v in values)


def duration(seconds: float | None) -> str:
    """``12s``, ``3m``, ``5h``, ``2d``; ``-`` for None."""
    if seconds is None:
        return "-"
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"
