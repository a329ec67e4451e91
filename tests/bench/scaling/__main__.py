"""Measure each number of collectors, then draw; ``draw`` alone draws what stands in the CSV."""

from __future__ import annotations

import csv
import signal
import sys
from pathlib import Path

from tests.bench.scaling.chart import draw
from tests.bench.scaling.measure import Point, measure

NUMBERS = (10, 50, 200, 500, 1000)
DOCS = Path(__file__).parents[3] / "docs"


def main(wanted: list[str]) -> int:
    """Numbers of collectors, or ``draw``; without any, all. A number that is not measured keeps its figures."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that what was started is ended
    known = {point.collectors: point for point in _read(DOCS / "scaling.csv")}
    for number in [] if wanted == ["draw"] else map(int, wanted or NUMBERS):
        known[number] = point = measure(number)
        print(", ".join(f"{key} {value:.4g}" for key, value in point._asdict().items()), flush=True)
        _write(DOCS / "scaling.csv", sorted(known.values()))
    (DOCS / "scaling.svg").write_text(draw(sorted(known.values())), "utf-8")
    return 0


def _read(table: Path) -> list[Point]:
    if not table.exists():
        return []
    with table.open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [Point(int(count), *map(float, figures)) for count, *figures in rows]


def _write(table: Path, points: list[Point]) -> None:
    with table.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Point._fields)
        writer.writerows([f"{value:.4g}" for value in point] for point in points)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
