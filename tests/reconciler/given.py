"""Manifests, processes and reports to plan with, each with plausible values unless told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.changes import live_file
from reconciler.digest import digest, split
from reconciler.model import (
    Applied,
    Desired,
    Instance,
    Kind,
    Manifest,
    Node,
    ProcessId,
    Report,
    RestartPolicy,
    SpecFile,
    Stopping,
)

BOOT = "boot-1"
NODE = Node("edge", {"site": "north"})
NOW = 10_000.0
WALL = 1_800_000_000.0
LONG_AGO = 0.0


def manifest(name: str, kind: Kind = "Collector", type: str = "modbus", **spec: Any) -> Manifest:
    whole = {"type": type, **spec}
    policy = RestartPolicy(policy=whole.get("restart", {}).get("policy", "always"))
    return Manifest(kind, name, f"{name}.yaml", 1, whole, digest(kind, name, whole), restart=policy)


def desired(*manifests: Manifest, **more: Any) -> Desired:
    return Desired({m.name: m for m in manifests}, **more)


def instance(of: Manifest, number: int = 1, started: float = NOW - 100, stopping: bool = False) -> Instance:
    pid = ProcessId(BOOT, "ns", 1000 + number, 5)
    found = Instance(of.name, f"{of.name}-{number}", of.digest, pid, (pid,), started, WALL - (NOW - started))
    return replace(found, stopping=Stopping(NOW - 1, NOW + 9, "DigestChanged")) if stopping else found


def report(of: Instance, **more: Any) -> Report:
    known: dict[str, Any] = {"monotonic_s": NOW - 1, "at": WALL - 1, "cycled": True}
    return Report(of.name, of.instance, of.digest, 1001, BOOT, **(known | more))


def applied(of: Manifest, wanted: Desired) -> Applied:
    restart, _, _ = split(of.kind, of.spec)
    return Applied(SpecFile(of.kind, of.name, of.digest, restart), live_file(wanted, of))
