"""A real collector process on a real outbox, and what it wrote."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from collectors import lines
from collectors.collect import run
from collectors.contract import (
    ENV_INSTANCE,
    EXIT_STOPPED,
    LiveFile,
    Report,
    SpecFile,
    StateDir,
    builtin_command,
    read_json,
    to_json,
    write_json,
)
from collectors.outbox.file import unpack

T = TypeVar("T")

Row = tuple[str, dict[str, str], dict[str, lines.Value], int]
"""Measurement, tags, fields and time of a line."""


@dataclass
class Outcome:
    """What a collector wrote."""

    state: StateDir
    name: str

    def rows(self, measurement: str | None = None, **tags: str) -> list[Row]:
        """What stands in the outbox, in the order it was acquired."""
        path = self.state.outbox(self.name)
        if not path.exists():
            return []
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            try:
                bodies = [unpack(body) for (body,) in db.execute("SELECT body FROM batches ORDER BY id")]
            except sqlite3.OperationalError:  # not made yet
                bodies = []
        db.close()
        found = [lines.parse(line) for body in bodies for line in body.decode().splitlines()]
        wanted = measurement or self.name
        return [
            (m, dict(t), f, at) for m, t, f, at in found if m == wanted and tags.items() <= dict(t).items()
        ]

    def routes(self) -> list[str]:
        """The sinks its lines are for, in the order of their first line."""
        with sqlite3.connect(f"file:{self.state.outbox(self.name)}?mode=ro", uri=True) as db:
            found = [sinks for (sinks,) in db.execute("SELECT sinks FROM routes ORDER BY id")]
        db.close()
        return found

    def report(self) -> Report | None:
        """Its last report."""
        path = self.state.report(self.name)
        return Report.from_json(read_json(path)) if path.exists() else None

    def qualities(self, tag: str) -> list[tuple[lines.Value, lines.Value]]:
        """The changes of quality of a field."""
        return [(f["quality"], f["reason"]) for _, _, f, _ in self.rows("daq_quality", tag=tag)]

    def is_connected(self, device: int = 0) -> bool:
        """Whether its last report says so of a device."""
        report = self.report()
        return bool(report and report.devices[device].connected)


@dataclass
class Running(Outcome):
    """One collector process."""

    process: asyncio.subprocess.Process

    async def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        self.process.send_signal(number)
        async with asyncio.timeout(10):
            return await self.process.wait()


@asynccontextmanager
async def collector(
    root: Path, spec: dict[str, Any], name: str = "press", sinks: tuple[str, ...] = ("plant",)
) -> AsyncIterator[Running]:
    """Start it with its spec and live file; it is killed in the end if it still runs."""
    state = StateDir(root)
    path = state.spec(name, "d1")
    write_json(path, to_json(SpecFile("Collector", name, "d1", spec)))
    write_json(state.live(name), to_json(LiveFile(sinks=sinks)))
    log = state.log(name)
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *builtin_command(sys.executable, path),
            stdout=output,
            stderr=output,
            env={ENV_INSTANCE: "i1", "DAQ_STATE_DIR": str(root), "PYTHONPATH": str(Path.cwd())},
        )
    try:
        yield Running(state, name, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def collecting(
    root: Path, spec: dict[str, Any], name: str = "press", sinks: tuple[str, ...] = ("plant",)
) -> AsyncIterator[Outcome]:
    """The same in this process, where starting one is not what is tested; in the end it is asked to stop."""
    state, stop = StateDir(root), asyncio.Event()
    write_json(state.live(name), to_json(LiveFile(sinks=sinks)))
    task = asyncio.create_task(run(SpecFile("Collector", name, "d1", spec), state, stop))
    try:
        yield Outcome(state, name)
    finally:
        stop.set()
        assert await task == EXIT_STOPPED


async def until(condition: Callable[[], T], what: str, deadline_s: float = 10.0) -> T:
    """The first true value of `condition`. Fails after `deadline_s`, saying `what` was waited for."""
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline_s
    while not (value := condition()):
        assert loop.time() < end, f"waited {deadline_s:g} s for {what}"
        await asyncio.sleep(0.02)
    return value
