"""200 collectors of three protocols from nothing, forked by the nursery and spawned one by one; then what they weigh.

The same loop both times, at work with one collector, and the same simulated devices. All manifests appear at once, by
a rename: that is the beginning. All is seen from outside: the first line of collector code opens the spec file that
argv names (``collectors.__main__``; a spawned one has executed and imported that far), its outbox is opened when all
its imports are done, and the first stored reading is its oldest row in the database. Each figure is told of the last
of the 200 and of the median one. In the end all is stopped, and begun again with the loop, warming up included.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench import mixed
from tests.bench.counters import pss_mib
from tests.bench.opens import Opens
from tests.bench.rows import Goal, Row
from tests.e2e.plant import Plant
from tests.processtable import nurseries, processes, spares
from tests.waiting import wait_until

COLLECTORS = 200
ROUNDS = 2
INTERVAL = "5s"
WORK_S = 30.0
WITHIN_S = 240.0


class Stage(NamedTuple):
    """Seconds from the beginning until the last and until half of them had come so far."""

    last: float
    half: float


class Start(NamedTuple):
    """What one start took. `pss_mib` is the sum after a while of work, the nursery included."""

    line: Stage
    outbox: Stage
    reading: Stage
    line_of_all: float
    """From the loop's own start, to the last one's first line."""
    pss_mib: float


def run() -> list[Row]:
    """Forked and spawned in turns; the best of neither: medians."""
    with mixed.devices() as ports:
        pairs = [(_start(ports, forked=True), _start(ports, forked=False)) for _ in range(ROUNDS)]
    ours, plain = (_median([pair[which] for pair in pairs]) for which in (0, 1))
    all_of, half_of = f"{COLLECTORS} collectors appear", f"half of the {COLLECTORS}"
    return [
        Row(f"{all_of}, to the last one's first line", "spawned", ours.line.last, plain.line.last,
            goal=Goal(times=20)),
        Row(f"{half_of} at their first line", "spawned", ours.line.half, plain.line.half),
        Row(f"{all_of}, to the last one's outbox", "spawned", ours.outbox.last, plain.outbox.last),
        Row(f"{all_of}, to the last one's first stored reading", "spawned", ours.reading.last, plain.reading.last,
            goal=Goal(times=5)),
        Row(f"{half_of} with a stored reading", "spawned", ours.reading.half, plain.reading.half),
        Row(f"`daq run` with {COLLECTORS}, to the last one's first line", "spawned", ours.line_of_all,
            plain.line_of_all),
        Row(f"PSS of {COLLECTORS} after {WORK_S:g} s, nursery included", "spawned", ours.pss_mib, plain.pss_mib, "MiB",
            Goal(times=8)),
    ]  # fmt: skip


def _start(ports: Mapping[str, int], *, forked: bool) -> Start:
    names = mixed.names(COLLECTORS)
    with mixed.plant(forked=forked) as plant:
        coming = plant.root / "coming"
        coming.mkdir()
        for name in names:
            (coming / f"{name}.yaml").write_text(mixed.manifest(name, ports, INTERVAL))
        plant.write("first.yaml", mixed.manifest("modbus-first", ports, INTERVAL))
        plant.start_loop("--listen", "none")
        plant.wait_ready("modbus-first")
        assert bool(nurseries(plant.state)) == forked
        (plant.state / "outbox").mkdir(exist_ok=True)
        with Opens(plant.state / "specs", plant.state / "outbox") as opens:
            begin, begin_wall = time.perf_counter(), time.time()
            coming.rename(plant.desired / "all")
            _wait_for_all(opens, plant, names)
            wait_until(lambda: _waited(0.5) and len(_read(plant)) > COLLECTORS, "all to be stored", WITHIN_S)
        reading = _stage([at - begin_wall for name, at in _read(plant).items() if name in names])
        line, outbox = (_stage([at - begin for at in times]) for times in _begun(opens, plant, names))
        _waited(WORK_S)
        found = [seen.pid for seen in processes(plant.state) if seen.name in names]
        assert len(found) == COLLECTORS, len(found)
        weight = sum(map(pss_mib, [*found, *nurseries(plant.state), *spares(plant.state)]))
        return Start(line, outbox, reading, _begun_with_loop(plant, names), weight)


def _begun_with_loop(plant: Plant, names: list[str]) -> float:
    """Everything is ended, and the loop started with all manifests in place."""
    assert plant.loop is not None
    plant.daq("down", timeout=WITHIN_S)
    plant.loop.wait(30)
    with Opens(plant.state / "specs", plant.state / "outbox") as opens:
        begin = time.perf_counter()
        plant.start_loop("--listen", "none")
        _wait_for_all(opens, plant, names)
    return max(_begun(opens, plant, names)[0]) - begin


def _wait_for_all(opens: Opens, plant: Plant, names: list[str]) -> None:
    wait_until(
        lambda: _waited(0.5) and all(len(t) == len(names) for t in _begun(opens, plant, names)),
        "all",
        WITHIN_S,
    )


def _begun(opens: Opens, plant: Plant, names: list[str]) -> tuple[list[float], list[float]]:
    """When each opened its spec, and when its own outbox; the loop and senders open them too, and do not count."""
    assert plant.loop is not None
    lines: dict[str, tuple[float, int]] = {}
    outboxes: dict[str, float] = {}
    for at, pid, path in list(opens.seen):
        name = Path(path).name.partition(".")[0]
        if name not in names or pid == plant.loop.pid:
            continue
        if "/specs/" in path:
            lines.setdefault(name, (at, pid))
        elif name in lines and lines[name][1] == pid:
            outboxes.setdefault(name, at)
    return [at for at, _ in lines.values()], list(outboxes.values())


def _read(plant: Plant) -> dict[str, float]:
    """When the oldest stored reading of each was taken, epoch seconds."""
    rows = plant.rows("SELECT collector, MIN(ts_ns) FROM samples GROUP BY collector")
    return {name: at / 1e9 for name, at in rows}


def _waited(seconds: float) -> bool:
    threading.Event().wait(seconds)
    return True


def _stage(seconds: list[float]) -> Stage:
    return Stage(max(seconds), median(seconds))


def _median(starts: list[Start]) -> Start:
    def stage(which: str) -> Stage:
        return Stage(*(median(values) for values in zip(*(getattr(s, which) for s in starts), strict=True)))

    return Start(
        stage("line"),
        stage("outbox"),
        stage("reading"),
        median(s.line_of_all for s in starts),
        median(s.pss_mib for s in starts),
    )
