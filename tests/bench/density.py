"""Many devices in one collector, or a collector each: memory and CPU of the same readings."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

from tests.bench.counters import pss_mib
from tests.bench.rows import Row
from tests.e2e.plant import Plant
from tests.processtable import nurseries, processes, spares

DEVICES = 20
TAGS = 20
WORK_S = 20.0


def run() -> list[Row]:
    """CPU seconds for a second of the plant; memory is printed beside it."""
    with tempfile.TemporaryDirectory() as directory:
        plant = Plant(Path(directory))
        try:
            ports = [plant.device() for _ in range(DEVICES)]
            plant.start_loop()
            plant.write("a.yaml", _manifest("together", ports))
            together = _weigh(plant, "together")
            texts = [_manifest(f"alone-{n}", [port]) for n, port in enumerate(ports)]
            plant.write(
                "a.yaml", "---\n".join([*texts, _manifest("together", ports).replace("running", "stopped")])
            )
            alone = _weigh(plant, *(f"alone-{n}" for n in range(DEVICES)))
        finally:
            plant.close()
    print(
        f"{DEVICES} devices of {TAGS} tags each second: {together[1]:.1f} MiB in one collector, {alone[1]:.1f} MiB in "
        f"{DEVICES}, and {alone[2]:.1f} MiB of the nursery (PSS)"
    )
    return [Row(f"{DEVICES} devices in one collector, CPU of a second", "one each", together[0], alone[0])]


def _manifest(name: str, ports: list[int]) -> str:
    devices = ", ".join(f"{{name: d{port}, host: 127.0.0.1, port: {port}}}" for port in ports)
    tags = ", ".join(f'{{name: t{n}, address: "holding:{n}", type: uint16}}' for n in range(TAGS))
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: modbus
  state: running
  interval: 1s
  devices: [{devices}]
  tags: [{tags}]
"""


def _weigh(plant: Plant, *names: str) -> tuple[float, float, float]:
    """CPU a second, PSS of the collectors and of the nursery, while exactly these work."""
    plant.wait_ready(*names, deadline_s=60)
    pids = [seen.pid for seen in processes(plant.state) if seen.name in names]
    assert len(pids) == len(names)
    before = sum(map(_cpu_s, pids))
    threading.Event().wait(WORK_S)
    used_s = (sum(map(_cpu_s, pids)) - before) / WORK_S
    return used_s, sum(map(pss_mib, pids)), sum(map(pss_mib, nurseries(plant.state) + spares(plant.state)))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
