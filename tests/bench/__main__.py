"""``python -m tests.bench [--goals] [NAME…]``: run benchmarks and print them as a table."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from tests.bench.rows import Row, shown

NOT_BENCHMARKS = {"__init__", "__main__", "counters", "mixed", "opens", "readings", "rows", "stamps", "syncs"}
WITH_GOALS = ("starting", "supervising", "idle", "collecting", "opcua", "lines", "delivery", "passes")
"""In the order of the table in docs/performance.md."""


def main(wanted: list[str]) -> int:
    """Run `wanted`, or all; with ``--goals`` those that have one, as rows of Markdown. 2 for a name that is none."""
    signal.signal(
        signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM)
    )  # so that what was started is ended
    known = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - NOT_BENCHMARKS)
    goals = "--goals" in wanted
    wanted = [name for name in wanted if name != "--goals"]
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"cannot find the benchmark {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    if goals:
        _print_goals(wanted or WITH_GOALS)
    else:
        _print_all(wanted or known)
    return 0


def _print_all(names: list[str]) -> None:
    print(f"{'':56} {'ours':>10} {'baseline':>10} {'times':>7}  baseline is, goal")
    for _, row in _rows(names):
        goal = f"; goal {row.wanted}: {_verdict(row)}" if row.goal else ""
        ours, theirs = shown(row.ours, row.unit), shown(row.theirs, row.unit)
        print(f"{row.what:56} {ours:>10} {theirs:>10} {row.times:7.2f}  {row.baseline}{goal}", flush=True)


def _print_goals(names: tuple[str, ...] | list[str]) -> None:
    print("| what | daq | beside | times | goal | | bench |\n| --- | --- | --- | --- | --- | --- | --- |")
    for name, row in _rows(names):
        if row.goal:
            theirs = f"{row.baseline}: {shown(row.theirs, row.unit)}"
            cells = (row.what, shown(row.ours, row.unit), theirs, f"{row.times:.3g}×", row.wanted)
            print(f"| {' | '.join(cells)} | {_verdict(row)} | `{name}` |", flush=True)


def _rows(names: tuple[str, ...] | list[str]) -> Iterator[tuple[str, Row]]:
    for name in names:
        rows: list[Row] = import_module(f"tests.bench.{name}").run()
        yield from ((name, row) for row in rows)


def _verdict(row: Row) -> str:
    return "met" if row.is_met else "missed"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
