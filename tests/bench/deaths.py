"""From a kill to its being noticed, and to the next process, for own and for adopted programs; beside a bare wait."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from tests.bench.rows import Row
from tests.e2e.plant import Plant, sleeper
from tests.processtable import Seen, processes

RUNNING = 50
PLANTS, EACH = 4, 30
"""Deaths in each of so many plants: no name dies twice, so that none shows its back-off."""
LOOK_S = 0.0005


def run() -> list[Row]:
    """Median and p99 of each."""
    floor = [_waited_for() for _ in range(PLANTS * EACH)]
    rows = []
    for adopted in (False, True):
        pairs = [pair for _ in range(PLANTS) for pair in _deaths(adopted=adopted)]
        noticed, replaced = [a for a, _ in pairs], [b for _, b in pairs]
        whose = f"{'adopted' if adopted else 'own'} of {RUNNING}"
        for what, took in (
            (f"kill to noticed, {whose}", noticed),
            (f"kill to next process, {whose}", replaced),
        ):
            rows += [
                Row(f"{what}, median", "a bare wait", median(took), median(floor)),
                Row(f"{what}, p99", "a bare wait", _p99(took), _p99(floor)),
            ]
    return rows


def _deaths(*, adopted: bool) -> list[tuple[float, float]]:
    """Seconds until the loop said so, and until another process of that name was there."""
    with tempfile.TemporaryDirectory() as directory:
        plant = Plant(Path(directory))
        try:
            names = [f"s{n}" for n in range(RUNNING)]
            plant.write("all.yaml", "---\n".join(sleeper(name, "  restart: {delay: 0s}\n") for name in names))
            plant.start_loop()
            plant.wait_ready(*names, deadline_s=60)
            if adopted:
                plant.end_loop(signal.SIGKILL)
                plant.start_loop()
            return [_death(plant, victim) for victim in random.sample(processes(plant.state), EACH)]
        finally:
            plant.close()


def _death(plant: Plant, victim: Seen) -> tuple[float, float]:
    said, begin = plant.output.stat().st_size, time.perf_counter()
    os.kill(victim.pid, signal.SIGKILL)
    noticed = _until(begin, lambda: f" {victim.name}: ended" in plant.said(said))
    return noticed, _until(begin, lambda: _lives_again(victim))


def _lives_again(victim: Seen) -> bool:
    name, dead = f"DAQ_NAME={victim.name}".encode(), f"DAQ_INSTANCE={victim.instance}".encode()
    for entry in reversed(os.listdir("/proc")):  # noqa: PTH208  (newest first, as long as numbers grow)
        if entry.isdigit():
            try:
                variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if name in variables and dead not in variables:
                return True
    return False


def _until(begin: float, condition: Callable[[], bool]) -> float:
    while not condition():
        time.sleep(LOOK_S)
        if time.perf_counter() - begin > 10:
            raise TimeoutError("a death was not noticed")
    return time.perf_counter() - begin


def _waited_for() -> float:
    """Seconds from a kill until wait(2) tells its parent."""
    with subprocess.Popen(["sleep", "1000"]) as child:
        begin = time.perf_counter()
        child.kill()
        child.wait()
        return time.perf_counter() - begin


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[98]
