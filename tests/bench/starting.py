"""200 collectors of three protocols from nothing, forked by the nursery and spawned one by one; then what they cost.

The same loop both times, and the same simulated devices, each one process. The first line of collector code is the
opening of the outbox, seen from outside; the first stored reading is the oldest row of each in the database.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.rows import Row
from tests.e2e.plant import DAQ, Plant
from tests.processtable import end_nurseries, nurseries, processes
from tests.waiting import wait_until

COLLECTORS = 200
WORK_S = 30.0
KILLS = 60
WITHOUT = """
from reconciler.processes.nursery import Nursery
Nursery.tend = lambda self: None
from reconciler.cli import main
main()
"""
"""`daq run` that spawns, as it does while it has no warm nursery."""

TAGS = {
    "modbus": ", ".join(f'{{name: t{n}, address: "holding:{n}", type: uint16}}' for n in range(20)),
    "melsec": ", ".join(f"{{name: t{n}, address: D{n}, type: uint16}}" for n in range(20)),
    "opcua": ", ".join(
        f'{{name: t{n}, node: "nsu=urn:daq:simulator;s={node}"}}'
        for n, node in enumerate(("Boiler.Level", "Boiler.Setpoint", "Press1.Energy", "Press1.Pieces"))
    ),
}


class Start(NamedTuple):
    """Seconds from the loop's first pass, and what all weigh after a while of work."""

    lines_s: list[float]
    readings_s: list[float]
    pss_mib: float


def run() -> list[Row]:
    """Forked and spawned, in one run."""
    devices = {kind: _device(kind) for kind in TAGS}
    try:
        ours = _start({kind: port for kind, (_, port) in devices.items()}, forked=True)
        plain = _start({kind: port for kind, (_, port) in devices.items()}, forked=False)
    finally:
        for process, _ in devices.values():
            process.kill()
            process.communicate()
    print(
        f"memory of {COLLECTORS} collectors after {WORK_S:g} s (sum of PSS, nursery included): {ours.pss_mib:.0f} MiB, "
        f"spawned {plain.pss_mib:.0f} MiB: {plain.pss_mib / ours.pss_mib:.1f} times as much"
    )
    return [
        Row(f"{COLLECTORS} at their first line", "spawned", max(ours.lines_s), max(plain.lines_s)),
        Row(
            f"{COLLECTORS} at their first line, median",
            "spawned",
            median(ours.lines_s),
            median(plain.lines_s),
        ),
        Row(f"{COLLECTORS} with a stored reading", "spawned", max(ours.readings_s), max(plain.readings_s)),
        Row(
            f"{COLLECTORS} with a stored reading, median",
            "spawned",
            median(ours.readings_s),
            median(plain.readings_s),
        ),
    ]


def _device(kind: str) -> tuple[subprocess.Popen[bytes], int]:
    more = ["--frame", "3E", "--series", "Q"] if kind == "melsec" else []
    process = subprocess.Popen(
        [DAQ, "simulate", kind, "--port", "0", *more], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline().decode().rsplit(":", 1)[1].strip("/\n"))


def _manifest(name: str, kind: str, port: int) -> str:
    device = {
        "modbus": f"host: 127.0.0.1, port: {port}",
        "melsec": f"host: 127.0.0.1, port: {port}, frame: 3E, series: Q",
        "opcua": f'url: "opc.tcp://127.0.0.1:{port}", timeout: 20s',
    }[kind]
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: {kind}
  interval: 5s
  restart: {{delay: 0s}}
  devices: [{{{device}}}]
  tags: [{TAGS[kind]}]
"""


def _start(ports: dict[str, int], *, forked: bool) -> Start:
    names = [f"{list(TAGS)[n % 3]}-{n:03}" for n in range(COLLECTORS)]
    with tempfile.TemporaryDirectory() as directory:
        plant = Plant(Path(directory))
        try:
            for name in names:
                kind = name.partition("-")[0]
                plant.write(f"{name}.yaml", _manifest(name, kind, ports[kind]))
            command = [DAQ] if forked else [sys.executable, "-c", WITHOUT]
            with plant.output.open("wb") as log:
                plant.loop = subprocess.Popen(
                    [*command, "run", "--listen", "none"],
                    cwd=plant.root,
                    env=plant.environ,
                    stdout=log,
                    stderr=log,
                )
            wait_until(lambda: "first pass" in plant.said(), "the first pass", 60)
            begin, begin_wall = time.perf_counter(), time.time()
            lines = _first_lines(plant.state / "outbox", names, begin)
            wait_until(lambda: len(_first_readings(plant)) == COLLECTORS, "all to be stored", 180)
            readings = [at - begin_wall for at in _first_readings(plant).values()]
            threading.Event().wait(WORK_S)
            found = [seen.pid for seen in processes(plant.state) if seen.name in names]
            assert len(found) == COLLECTORS
            pss = sum(map(pss_mib, [*found, *nurseries(plant.state)]))
            if forked:
                _kill_some(plant, names)
                _take_over(plant)
            return Start(lines, readings, pss)
        finally:
            plant.close()
            end_nurseries(plant.state)


def _first_lines(outboxes: Path, names: list[str], begin: float) -> list[float]:
    seen: dict[str, float] = {}
    while len(seen) < len(names):
        now = time.perf_counter() - begin
        assert now < 180, "not all have begun"
        if outboxes.exists():
            for path in os.listdir(outboxes):  # noqa: PTH208
                if path.endswith(".db"):
                    seen.setdefault(path, now)
        threading.Event().wait(0.005)
    return list(seen.values())


def _first_readings(plant: Plant) -> dict[str, float]:
    rows = plant.rows("SELECT collector, MIN(ts_ns) FROM samples GROUP BY collector")
    return {name: at / 1e9 for name, at in rows}


def pss_mib(pid: int) -> float:
    """Proportional set size: what is shared counts by its share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    raise ValueError(f"pid {pid} tells no PSS")


def _kill_some(plant: Plant, names: list[str]) -> None:
    """From kill -9 to the process that replaces it, one after another; each once, for the next time it would wait."""
    took = []
    for name in names[:KILLS]:
        known = {entry for entry in os.listdir("/proc") if entry.isdigit()}  # noqa: PTH208
        begin = time.perf_counter()
        os.kill(plant.pids(name)[0], signal.SIGKILL)
        begin = time.perf_counter()
        took.append(_replaced(name, known, begin) * 1000)
        threading.Event().wait(0.2)
    took.sort()
    print(
        f"kill -9 to its replacement, {COLLECTORS} running, {KILLS} kills: median {median(took):.1f} ms, "
        f"p95 {took[int(len(took) * 0.95)]:.1f}, slowest {took[-1]:.1f}"
    )


def _replaced(name: str, known: set[str], begin: float) -> float:
    marker = f"DAQ_NAME={name}".encode()
    while time.perf_counter() - begin < 10:
        for entry in os.listdir("/proc"):  # noqa: PTH208
            if entry.isdigit() and entry not in known:
                try:
                    if marker in Path(f"/proc/{entry}/environ").read_bytes():
                        return time.perf_counter() - begin
                except OSError:
                    continue
    raise TimeoutError(f"{name} was not replaced")


def _take_over(plant: Plant) -> None:
    """The loop is killed and started: who is lost, doubled, adopted."""
    before = {seen.name: seen.pid for seen in processes(plant.state)}
    plant.end_loop(signal.SIGKILL)
    begin = time.perf_counter()
    plant.start_loop()
    took = time.perf_counter() - begin
    threading.Event().wait(2)
    after = processes(plant.state)
    adopted = sum(before.get(seen.name) == seen.pid for seen in after)
    lost = len(before.keys() - {seen.name for seen in after})
    print(
        f"loop killed and started: {lost} lost, {len(after) - len(before)} doubled, "
        f"{adopted} of {len(before)} adopted, first pass after {took:.2f} s"
    )


if __name__ == "__main__":
    for row in run():
        print(
            row.what, f"{row.ours_s:.3f} s", f"{row.baseline_s:.3f} s", f"{1 / row.ratio:.1f} times as fast"
        )
