"""What 200 forked collectors weigh on a host that merges equal pages (KSM), beside spawned ones.

Needs root and Linux 6.4: it switches merging on for the whole machine, hurries it until everything was looked at four
times, lets it go on at its usual pace, and puts its settings back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.bench import mixed
from tests.bench.counters import cpu_s, pss_mib
from tests.bench.rows import Goal, Row
from tests.bench.starting import COLLECTORS, INTERVAL, WORK_S
from tests.e2e.plant import Plant
from tests.processtable import nurseries, processes, spares
from tests.waiting import wait_until

KSM = Path("/sys/kernel/mm/ksm")
HURRIED = 4000
"""Pages that ksmd looks at each 20 ms; 100 is usual."""
SCANS = 4
WITHIN_S = 600.0
MERGE, UNMERGE = 1, 2


def run() -> list[Row]:
    """Forked, then spawned, each after 30 s of work."""
    with mixed.devices() as ports:
        with _at_work(ports, forked=True) as plant:
            alone = _weight(plant)
            with _merging():
                merged, hurried = _merged(plant)
                _set("pages_to_scan", 100)
                usual = _ksmd_percent(WORK_S)
                kept = _weight(plant)
        with _at_work(ports, forked=False) as plant:
            spawned = _weight(plant)
    of = f"PSS of {COLLECTORS}"
    return [
        Row(f"{of} after {WORK_S:g} s, nothing merged", "spawned", alone, spawned, "MiB"),
        Row(f"{of}, equal pages merged", "spawned", merged, spawned, "MiB", Goal(times=8)),
        Row(f"{of}, {WORK_S:g} s later, merging at its usual pace", "spawned", kept, spawned, "MiB"),
        Row("ksmd at its usual pace", "hurried", usual, hurried, "% of a core"),
    ]


@contextmanager
def _at_work(ports: Mapping[str, int], *, forked: bool) -> Iterator[Plant]:
    names = mixed.names(COLLECTORS)
    with mixed.plant(forked=forked) as plant:
        for name in names:
            plant.write(f"{name}.yaml", mixed.manifest(name, ports, INTERVAL))
        plant.start_loop("--listen", "none")
        plant.wait_ready(*names, deadline_s=WITHIN_S)
        threading.Event().wait(WORK_S)
        yield plant


def _weight(plant: Plant) -> float:
    collectors = [seen.pid for seen in processes(plant.state) if "-" in seen.name]
    assert len(collectors) == COLLECTORS, len(collectors)
    return sum(map(pss_mib, [*collectors, *nurseries(plant.state), *spares(plant.state)]))


@contextmanager
def _merging() -> Iterator[None]:
    before = {name: (KSM / name).read_text() for name in ("pages_to_scan", "run")}
    try:
        _set("pages_to_scan", HURRIED)
        _set("run", MERGE)
        yield
    finally:
        _set("run", UNMERGE)
        for name, value in before.items():
            _set(name, value)


def _merged(plant: Plant) -> tuple[float, float]:
    """The weight when everything was looked at a few times, and the % of a core that this took meanwhile."""
    last = int((KSM / "full_scans").read_text()) + SCANS
    percent = 0.0

    def over() -> bool:
        nonlocal percent
        percent = max(percent, _ksmd_percent(2))
        return int((KSM / "full_scans").read_text()) >= last

    wait_until(over, "the pages to be merged", WITHIN_S)
    return _weight(plant), percent


def _ksmd_percent(seconds: float) -> float:
    pid = next(int(p.parent.name) for p in Path("/proc").glob("[0-9]*/comm") if p.read_text() == "ksmd\n")
    before = cpu_s(pid)
    threading.Event().wait(seconds)
    return (cpu_s(pid) - before) / seconds * 100


def _set(name: str, value: object) -> None:
    (KSM / name).write_text(str(value))
