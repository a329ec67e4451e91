"""One plant of so many collectors: from nothing to all reading, at rest, asked, edited, killed."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.request import urlopen

from tests.bench import mixed
from tests.bench.counters import cpu_s, pss_mib, rss_mb
from tests.bench.following import edited
from tests.bench.opens import Opens
from tests.bench.passes import cpu_of_passes
from tests.bench.rows import p99
from tests.e2e.plant import Plant
from tests.processtable import nurseries, processes

INTERVAL, LIKE_IT = "5s", "6s"
CALM_S, REST_S = 15.0, 20.0
ASKS, ASK_EVERY_S = 100, 0.05
EDITS, KILLS = 12, 20
BETWEEN_S = 0.3


class Point(NamedTuple):
    """Figures of one number of collectors; the names are the columns of the CSV."""

    collectors: int
    start_s: float
    """From the manifests' appearing until the oldest stored reading of the last collector was taken."""
    pass_cpu_ms: float
    """CPU of one pass in which nothing has changed."""
    loop_cpu_percent: float
    """Of one core, at rest, collectors reading."""
    loop_rss_mb: float
    loop_descriptors: float
    """For each collector."""
    collector_pss_mib: float
    """For each, with its share of the nursery."""
    collector_cpu_ms: float
    """Of each, in a second, at rest, with its share of nursery and sender."""
    status_p50_ms: float
    status_p99_ms: float
    """``GET /api/processes``, twenty times a second."""
    edit_ms: float
    """Median from the rename of a saved manifest to the first line of the new collector."""
    kill_ms: float
    """Median from kill -9 to the first line of the next collector."""


def measure(count: int) -> Point:
    """All of one number."""
    names = [f"modbus-{n:04}" for n in range(count)]
    with mixed.devices("modbus") as ports, tempfile.TemporaryDirectory() as directory:
        plant = Plant(Path(directory))
        try:
            start_s = _started(plant, names, ports)
            threading.Event().wait(CALM_S)
            assert plant.loop is not None
            loop, nursery = plant.loop.pid, nurseries(plant.state)
            children = [seen.pid for seen in processes(plant.state) if seen.pid != loop]
            others = {*children, *nursery}
            before = cpu_s(loop), sum(map(cpu_s, others))
            threading.Event().wait(REST_S)
            loop_s, others_s = cpu_s(loop) - before[0], sum(map(cpu_s, others)) - before[1]
            asked = [_asked(plant.url) for _ in range(ASKS)]
            return Point(
                collectors=count,
                start_s=start_s,
                pass_cpu_ms=1000 * cpu_of_passes(plant),
                loop_cpu_percent=100 * loop_s / REST_S,
                loop_rss_mb=rss_mb(loop),
                loop_descriptors=len(os.listdir(f"/proc/{loop}/fd")) / count,  # noqa: PTH208
                collector_pss_mib=sum(map(pss_mib, others)) / count,
                collector_cpu_ms=1000 * others_s / REST_S / count,
                status_p50_ms=1000 * median(asked),
                status_p99_ms=1000 * p99(asked),
                edit_ms=1000 * median(edited(plant, names[:EDITS], ports, LIKE_IT)),
                kill_ms=1000 * median(_killed(plant, names[-KILLS:])),
            )
        finally:
            mixed.end(plant)


def _started(plant: Plant, names: list[str], ports: Mapping[str, int]) -> float:
    """A loop with nothing to do gets all manifests at once."""
    coming = plant.root / "coming"
    coming.mkdir()
    for name in names:
        (coming / f"{name}.yaml").write_text(mixed.manifest(name, ports, INTERVAL))
    plant.write("first.yaml", mixed.manifest("modbus-first", ports, INTERVAL))
    plant.start_loop()
    plant.wait_ready("modbus-first")
    begin = time.time()
    for name in names:
        (coming / f"{name}.yaml").rename(plant.desired / f"{name}.yaml")
    (plant.desired / "first.yaml").unlink()
    mixed.wait_converged(plant, len(names))
    first = {name: float("inf") for name in names}
    while max(first.values()) == float("inf"):
        threading.Event().wait(0.5)
        rows = plant.rows("SELECT collector, MIN(ts_ns) FROM samples GROUP BY collector")
        first |= {name: at / 1e9 for name, at in rows if name in first}
    return max(first.values()) - begin


def _asked(url: str) -> float:
    threading.Event().wait(ASK_EVERY_S)
    begin = time.perf_counter()
    with urlopen(f"{url}/api/processes") as answer:
        answer.read()
    return time.perf_counter() - begin


def _killed(plant: Plant, names: list[str]) -> list[float]:
    """Each once: for the next time it would wait."""
    took = []
    with Opens(plant.state / "specs") as opens:
        for name in names:
            threading.Event().wait(BETWEEN_S)
            victim = plant.status(name)["pid"]
            assert plant.loop is not None
            strangers, since, begin = (victim, plant.loop.pid), len(opens.seen), time.perf_counter()
            os.kill(victim, signal.SIGKILL)
            found = opens.wait(
                lambda o, n=name, s=strangers: o.pid not in s and f"/{n}." in o.path,  # type: ignore[misc]
                name,
                since,
            )
            took.append(found.at - begin)
    return took
