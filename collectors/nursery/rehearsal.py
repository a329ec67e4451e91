"""A short life of one collector of each protocol, in the nursery, before any child is forked.

What Python does when code runs for the first time (it specialises bytecode, fills caches, builds the driver's
serialisers) it does here once instead of in every child, which goes on sharing it: 1 to 2 MB less of its own, and an
OPC UA session in half the time. The collectors are whole ones, outbox and report included, in a directory of their own;
their devices are simulated, on loopback. Where that fails, children cost more and nothing else is different.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collectors.__main__ import run
from collectors.contract import Report, SpecFile, StateDir, read_json

WITHIN_S = 3.0
LOOK_S = 0.01
INTERVAL, GOES_ON_S = "5ms", 0.05
"""Python specialises what has run eight times."""

log = logging.getLogger("collectors.nursery")


def rehearse() -> None:
    """Live and end. What fails is logged."""
    failed: list[BaseException] = []
    try:
        with tempfile.TemporaryDirectory(prefix="daq-rehearsal-") as directory:
            failed += asyncio.run(_all(Path(directory)))
    except OSError as error:
        failed.append(error)
    for why in failed:
        log.warning("cannot rehearse a collector: %s; children will take more memory", why or repr(why))


async def _all(root: Path) -> list[BaseException]:
    failed: list[BaseException] = []
    for life in (_modbus, _melsec, _opcua):
        failed += [e for e in await asyncio.gather(life(root), return_exceptions=True) if e]
    return failed


async def _modbus(root: Path) -> None:
    from collectors.simulate import modbus  # noqa: PLC0415  (here, so that one that fails spoils no other)

    async with modbus.serve() as device:
        at = {"host": "127.0.0.1", "port": device.port}
        await _live(root, "modbus", at, {"address": "holding:0", "type": "uint16"})


async def _melsec(root: Path) -> None:
    from collectors.simulate import melsec  # noqa: PLC0415

    async with melsec.serve(frame="3E") as device:
        at = {"host": "127.0.0.1", "port": device.port, "frame": "3E", "series": "Q"}
        await _live(root, "melsec", at, {"address": "D0", "type": "uint16"})


async def _opcua(root: Path) -> None:
    from collectors.simulate import opcua_bare  # noqa: PLC0415

    async with opcua_bare.serve() as port:
        at = {"url": f"opc.tcp://127.0.0.1:{port}"}
        node = f"nsu={opcua_bare.NAMESPACE};s={opcua_bare.NODE.Identifier}"
        await _live(root, "opcua", at, {"node": node})


async def _live(root: Path, kind: str, device: Mapping[str, Any], tag: Mapping[str, Any]) -> None:
    spec = {"type": kind, "interval": INTERVAL, "devices": [device], "tags": [{"name": "value", **tag}]}
    file = SpecFile(kind="Collector", name=kind, digest="", spec=spec, node="", directory=str(root))
    state = StateDir(root)
    life = asyncio.create_task(run(file, state))
    async with asyncio.timeout(WITHIN_S):
        while not (life.done() or _has_cycled(state.report(kind))):
            await asyncio.wait([life], timeout=LOOK_S)
    await asyncio.sleep(GOES_ON_S)
    os.kill(os.getpid(), signal.SIGTERM)
    await life


def _has_cycled(report: Path) -> bool:
    try:
        return Report.from_json(read_json(report)).cycled
    except FileNotFoundError:
        return False
