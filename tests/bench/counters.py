"""What a process has used and done so far."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def points(path: Path) -> int:
    """Points that the outbox holds."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        (found,) = db.execute("SELECT COALESCE(SUM(points), 0) FROM batches").fetchone()
    db.close()
    return int(found)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def rss_mb(pid: int) -> float:
    """Resident memory of a process, MB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def pss_mib(pid: int) -> float:
    """Proportional set size, MiB: what is shared counts by its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"pid {pid} tells no PSS")
