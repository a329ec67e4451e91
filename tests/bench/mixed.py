"""Simulated devices of three protocols, and manifests of as many collectors on them as are wanted."""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.plant import DAQ, Plant
from tests.processtable import end_all, end_nurseries
from tests.waiting import wait_until

TAGS = {
    "modbus": ", ".join(f'{{name: t{n}, address: "holding:{n}", type: uint16}}' for n in range(20)),
    "melsec": ", ".join(f"{{name: t{n}, address: D{n}, type: uint16}}" for n in range(20)),
    "opcua": ", ".join(
        f'{{name: t{n}, node: "nsu=urn:daq:simulator;s={node}"}}'
        for n, node in enumerate(("Boiler.Level", "Boiler.Setpoint", "Press1.Energy", "Press1.Pieces"))
    ),
}


def names(count: int) -> list[str]:
    """The protocols in turn."""
    kinds = list(TAGS)
    return [f"{kinds[n % len(kinds)]}-{n:04}" for n in range(count)]


@contextmanager
def devices(*kinds: str) -> Iterator[Mapping[str, int]]:
    """One of each kind, or of all; a process each. Their ports."""
    found: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for kind in kinds or TAGS:
            more = ["--frame", "3E", "--series", "Q"] if kind == "melsec" else []
            found[kind] = subprocess.Popen(
                [DAQ, "simulate", kind, "--port", "0", *more],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        yield {kind: _port(process) for kind, process in found.items()}
    finally:
        for process in found.values():
            process.kill()
            process.communicate()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return int(process.stdout.readline().decode().rsplit(":", 1)[1].strip("/\n"))


def manifest(name: str, ports: Mapping[str, int], interval: str = "1s") -> str:
    """A collector named after its protocol."""
    kind = name.partition("-")[0]
    device = {
        "modbus": "host: 127.0.0.1, port: {}",
        "melsec": "host: 127.0.0.1, port: {}, frame: 3E, series: Q",
        "opcua": 'url: "opc.tcp://127.0.0.1:{}", timeout: 20s',
    }[kind].format(ports[kind])
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: {kind}
  interval: {interval}
  restart: {{delay: 0s}}
  devices: [{{{device}}}]
  tags: [{TAGS[kind]}]
"""


def wait_converged(plant: Plant, running: int, within_s: float = 600.0) -> None:
    """Until so many collectors run and all is Ready; looked for seldom, since looking takes time from them."""

    def converged() -> bool:
        threading.Event().wait(0.25)
        document = json.loads((plant.state / "status.json").read_bytes())
        return bool(document["converged"] and document["summary"]["running_processes"] == running)

    wait_until(converged, f"{running} to be Ready", within_s)


@contextmanager
def plant(*, forked: bool) -> Iterator[Plant]:
    """An empty one whose loop, once it is started, has a nursery or not; ended in the end."""
    with tempfile.TemporaryDirectory() as directory:
        made = Plant(Path(directory))
        if not forked:
            made.spawn_all()
        try:
            yield made
        finally:
            end(made)


def end(plant: Plant) -> None:
    """By SIGKILL: asking a thousand to end, on a busy machine, takes its time."""
    if plant.loop is not None:
        plant.loop.kill()
        plant.loop.wait()
    end_nurseries(plant.state)
    end_all(plant.state)
    plant.close()
