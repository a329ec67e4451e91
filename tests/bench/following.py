"""From a saved manifest to the new process, with 50 collectors running; the floor is to end and start one by hand."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench.rows import Row
from tests.e2e.plant import Plant, collector, sleeper

COLLECTORS = 50
EDITS = 20


def run() -> list[Row]:
    """Modbus collectors (Python processes that end on SIGTERM) and exec ones (`sleep`)."""
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        plant = Plant(Path(directory))
        try:
            port = plant.device()
            for n in range(COLLECTORS):
                plant.write(f"c{n}.yaml", collector(f"c{n}", port, interval="5s"))
            plant.write("s.yaml", sleeper("s"))
            plant.start_loop()
            plant.wait_ready(*(f"c{n}" for n in range(COLLECTORS)), deadline_s=180)
            for what, name, text, command in (
                ("a Modbus collector", "c7", _edited_collector(port), [sys.executable, "-c", SIGNALLED]),
                ("an exec collector", "s", _edited_sleeper, ["sleep", "1000"]),
            ):
                edits = [_follow(plant, name, text(n)) for n in range(EDITS)]
                floor = [_by_hand(command) for _ in range(EDITS)]
                rows.append(
                    Row(
                        f"save to new process, {what}, of {COLLECTORS}",
                        "by hand",
                        median(edits),
                        median(floor),
                    )
                )
        finally:
            plant.close()
    return rows


SIGNALLED = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); print(flush=True); signal.pause()"


def _edited_collector(port: int) -> Callable[[int], str]:
    return lambda n: collector("c7", port, interval=f"{6 + n}s")


def _edited_sleeper(n: int) -> str:
    return sleeper("s").replace("100000", str(100001 + n))


def _follow(plant: Plant, name: str, text: str) -> float:
    """Seconds from the rename of a saved file to the new process."""
    marker = f"DAQ_NAME={name}".encode()
    known = set(Path("/proc").iterdir())
    saved = plant.root / "saved"
    saved.write_text(text)
    saved.replace(plant.desired / f"{name}.yaml")
    begin, pause = time.perf_counter(), threading.Event()
    while time.perf_counter() - begin < 10:
        for pid in (
            set(Path("/proc").iterdir()) - known
        ):  # a new one carries its name only after exec: look again
            try:
                if marker in (pid / "environ").read_bytes().split(b"\0"):
                    return time.perf_counter() - begin
            except OSError:
                continue
        pause.wait(0.001)
    raise TimeoutError(f"{name} did not follow: {plant.said()[-500:]}")


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
