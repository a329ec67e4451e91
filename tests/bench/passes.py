"""A pass in which nothing has changed: 1,000 manifests, of which 300 run; CPU of the whole loop.

Beside it what any such pass has to do at least: look at every file's time, and at every process's environment.
"""

from __future__ import annotations

import os
import re
import signal
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from urllib.request import urlopen

from tests.bench import mixed
from tests.bench.counters import cpu_s
from tests.bench.rows import ROUNDS, Goal, Row
from tests.bench.supervisors.daq import exec_manifest
from tests.e2e.plant import Plant

MANIFESTS, RUNNING = 1000, 300
GOAL = Goal(0.015)
SLEEP = ["sleep", "100000"]
HANG_UPS, EVERY_S = 80, 0.1


def run() -> list[Row]:
    """One row: CPU seconds of a pass."""
    with tempfile.TemporaryDirectory() as directory:
        plant = Plant(Path(directory))
        try:
            names = [f"c{n:04}" for n in range(MANIFESTS)]
            for n, name in enumerate(names):
                state = "running" if n < RUNNING else "stopped"
                plant.write(f"{name}.yaml", exec_manifest(name, SLEEP, state))
            plant.start_loop()
            mixed.wait_converged(plant, RUNNING)
            passes, floor = zip(*[(cpu_of_passes(plant), _looked(plant)) for _ in range(ROUNDS)], strict=True)
        finally:
            plant.close()
    what = f"a pass over {MANIFESTS:,} unchanged manifests, {RUNNING} running, CPU"
    return [Row(what, "stat each file, search each environ", median(passes), median(floor), goal=GOAL)]


def cpu_of_passes(plant: Plant) -> float:
    """CPU seconds of one more pass of a calm loop: it is sent SIGHUP for a while, and left alone for as long."""
    calm, few = _used(plant, 0)
    busy, many = _used(plant, HANG_UPS)
    assert many - few >= 5, f"only {many} passes"
    return (busy - calm) / (many - few)


def _used(plant: Plant, hang_ups: int) -> tuple[float, int]:
    """CPU seconds and passes of the loop over a fixed time."""
    loop, pause = plant.loop, threading.Event()
    assert loop is not None
    passes, cpu = _passes(plant.url), cpu_s(loop.pid)
    for n in range(HANG_UPS):
        if n < hang_ups:
            loop.send_signal(signal.SIGHUP)
        pause.wait(EVERY_S)
    return cpu_s(loop.pid) - cpu, _passes(plant.url) - passes


def _passes(url: str) -> int:
    with urlopen(f"{url}/metrics") as answer:
        text = answer.read().decode()
    return int(float(re.findall(r"^daq_reconcile_duration_seconds_count (\S+)", text, re.MULTILINE)[0]))


def _looked(plant: Plant) -> float:
    begin, marker, found = time.process_time(), f"DAQ_STATE_DIR={plant.state}".encode(), 0
    for file in os.scandir(plant.desired):
        file.stat()
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            try:
                fd = os.open(f"/proc/{entry}/environ", os.O_RDONLY)
            except OSError:
                continue
            try:
                found += marker in os.read(fd, 1 << 17)
            except OSError:
                continue
            finally:
                os.close(fd)
    assert found >= RUNNING
    return time.process_time() - begin
