"""Run the benchmarks and print them as a table."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

from tests.bench.rows import Row

NOT_BENCHMARKS = {"__init__", "__main__", "counters", "readings", "rows", "syncs"}


def main(wanted: list[str]) -> int:
    """Run `wanted`, or all; 2 for a name that is none."""
    known = sorted({path.stem for path in Path(__file__).parent.glob("*.py")} - NOT_BENCHMARKS)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        print(f"cannot find the benchmark {unknown[0]!r}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    print(f"{'':44} {'ours':>10} {'baseline':>10} {'ratio':>6}  baseline is")
    for name in wanted or known:
        rows: list[Row] = import_module(f"tests.bench.{name}").run()
        for row in rows:
            ours, baseline = (f"{seconds * 1e6:.1f} µs" for seconds in (row.ours_s, row.baseline_s))
            print(f"{row.what:44} {ours:>10} {baseline:>10} {row.ratio:6.2f}  {row.baseline}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
