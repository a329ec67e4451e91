"""From a saved manifest to the process that follows it, as a curve over what else runs; all settle time is in it.

Beside it the floor: to end the old one by SIGTERM and start its like by hand, with no manifest and no others.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from tests.bench import mixed
from tests.bench.opens import Opens
from tests.bench.rows import Row, p99
from tests.bench.stamps import Stamps
from tests.bench.supervisors.daq import exec_manifest
from tests.e2e.plant import Plant

RUNNING = (50, 200, 500)
EDITS = 15
BETWEEN_S = 0.3
CALM_S = 5.0
SIGNALLED = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"


def run() -> list[Row]:
    """Modbus collectors, until the first line of their code, and an exec one, until its ``main``."""
    rows: list[Row] = []
    names = [f"modbus-{n:03}" for n in range(RUNNING[-1])]
    with mixed.devices("modbus") as ports, tempfile.TemporaryDirectory() as directory:
        plant, stamps = Plant(Path(directory)), Stamps(Path(directory))
        floors = (
            median(_by_hand([sys.executable, "-c", SIGNALLED]) for _ in range(EDITS)),
            median(_by_hand(stamps.command("x", 0)) for _ in range(EDITS)),
        )
        try:
            plant.write("s.yaml", exec_manifest("s", stamps.command("s", 0)))
            plant.start_loop("--listen", "none")
            before = 0
            for count in RUNNING:
                for name in names[before:count]:
                    plant.write(f"{name}.yaml", mixed.manifest(name, ports, "10s"))
                mixed.wait_converged(plant, count + 1)
                before = count
                threading.Event().wait(CALM_S)
                took = edited(plant, names[:EDITS], ports, f"{10 + count}s")
                rows += _rows(f"save to a Modbus collector's first line, {count} running", took, floors[0])
                execs = [_edited_exec(plant, stamps, count + n) for n in range(EDITS)]
                rows += _rows(f"save to an exec collector's main(), {count} running", execs, floors[1])
        finally:
            mixed.end(plant)
    return rows


def edited(plant: Plant, names: list[str], ports: Mapping[str, int], interval: str) -> list[float]:
    """For each built-in collector, seconds from the rename of a saved file to the first line of the new process."""
    assert plant.loop is not None
    loop, took = plant.loop.pid, []
    with Opens(plant.state / "specs") as opens:
        for name in names:
            threading.Event().wait(BETWEEN_S)
            since, begin = len(opens.seen), _saved(plant, name, mixed.manifest(name, ports, interval))
            found = opens.wait(lambda o, n=name: o.pid != loop and f"/{n}." in o.path, name, since)  # type: ignore[misc]
            took.append(found.at - begin)
    return took


def _edited_exec(plant: Plant, stamps: Stamps, value: int) -> float:
    threading.Event().wait(BETWEEN_S)
    begin = _saved(plant, "s", exec_manifest("s", stamps.command("s", value)))
    return stamps.wait(lambda s: s.value == value, "the exec collector to follow").at - begin


def _saved(plant: Plant, name: str, text: str) -> float:
    """As an editor does it, by a rename; when that was."""
    saved = plant.root / "saved"
    saved.write_text(text)
    begin = time.perf_counter()
    saved.replace(plant.desired / f"{name}.yaml")
    return begin


def _rows(what: str, took: list[float], floor: float) -> list[Row]:
    return [
        Row(f"{what}, median", "by hand, no other running", median(took), floor),
        Row(f"{what}, p99", "by hand, no other running", p99(took), floor),
    ]


def _by_hand(command: list[str]) -> float:
    """Seconds to end a process by SIGTERM and start its like."""
    with subprocess.Popen(command, stdout=subprocess.PIPE) as old:
        assert old.stdout is not None
        if command[0] == sys.executable:
            old.stdout.readline()
        begin = time.perf_counter()
        old.terminate()
        old.wait()
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as new:
            took = time.perf_counter() - begin
            new.kill()
    return took
