"""Every reading that was acquired is stored once, whatever happens to the sink, the sender and the collector.

A device counts how often it is read. The outbox keeps all rows, because a sink that has no sender is on their
route too: it is the truth that influxd is compared with, by value and timestamp. ``DAQ_IDENTITY_S`` makes it
last longer than its one round; ``make storm`` does.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors import lines
from collectors.contract import LiveFile, Points, SpecFile, StateDir, builtin_command, to_json, write_json
from collectors.letters import Replayed, ask_for_replay, read_letters, replay_answer
from collectors.outbox.file import unpack
from collectors.simulate.memory import Table, number
from collectors.simulate.modbus import serve
from tests.collectors.sending import points, settled, start_sender
from tests.databases import Influx, influxd
from tests.scripted import LOST, Answer, Scripted, scripted
from tests.waiting import wait_until

DURATION_S = float(os.environ.get("DAQ_IDENTITY_S", "0"))

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300 + 2 * DURATION_S)]

EVERY_S = 0.1
PHASE_S = 0.8
AT_LEAST = 120
"""Readings: about one round of phases."""


class Storm:
    """The collector, the sender, and between it and influxd a proxy that does what a phase wants."""

    def __init__(self, state: StateDir, influx: Influx, proxy: Scripted, port: int, seed: int) -> None:
        self.state, self.influx, self.proxy = state, influx, proxy
        self.random = random.Random(seed)
        self.secret = state.root / "password"
        self.repaired()
        sink = {"type": "influxdb", "url": proxy.url, "database": "plant", "timeout": "300ms",
                "batch": {"lines": 20, "maxAge": "100ms"}, "username": "daq",
                "password": {"file": str(self.secret)}}  # fmt: skip
        spec = {"type": "modbus", "interval": "100ms", "devices": [{"name": "d", "host": "127.0.0.1", "port": port}],
                "tags": [{"name": "n", "address": "holding:0", "type": "uint32"}]}  # fmt: skip
        self.sink = SpecFile("Sink", "plant", "d1", sink)
        self.collector = state.spec("counter", "d1")
        write_json(self.collector, to_json(SpecFile("Collector", "counter", "d1", spec)))
        write_json(state.live("counter"), to_json(LiveFile(sinks=("plant", "witness"))))
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.kills = 0

    def repaired(self) -> None:
        """What somebody does who has mended what a sink is held for."""
        self.secret.write_text(str(time.monotonic_ns()))

    def start(self, name: str) -> None:
        """Start the collector or the sender."""
        if name == "plant":
            self.children[name] = start_sender(self.sink, self.state, self.state.root / "plant.log")
            return
        with (self.state.root / "counter.log").open("ab") as log:
            self.children[name] = subprocess.Popen(
                builtin_command(sys.executable, self.collector),
                env={"PATH": os.environ["PATH"], "DAQ_STATE_DIR": str(self.state.root)},
                stdout=log,
                stderr=log,
            )

    def end(self, name: str, number: signal.Signals) -> None:
        """Send a signal and wait for the end."""
        child = self.children.pop(name)
        child.send_signal(number)
        child.wait(20)

    def phase(self, name: str) -> None:
        """Let one thing go wrong for a while, and kill something at a random moment of it."""
        over = threading.Event()
        if name in ("stopped", "killed"):
            self.influx.stop() if name == "stopped" else self.influx.kill()
        else:
            self.proxy.script = _script(name, over)
        killed = self.random.choice(["plant", "counter", "nobody"])
        before = self.random.uniform(0, PHASE_S)
        over.wait(before)
        if killed in self.children:
            self.kills += 1
            self.end(killed, signal.SIGKILL)
            self.start(killed)
        over.wait(PHASE_S - before)
        self.proxy.script = lambda *_: None
        over.set()
        if name in ("stopped", "killed"):
            self.influx.start()
        self.repaired()


ANSWERS: dict[str, Answer] = {
    "400 of a line": (400, {}, "unable to parse 'x': missing fields"),
    "400 of no line": (400, {}, "bad request"),
    "401": (401, {}, "who are you?"),
    "403": (403, {}, "not you"),
    "404": (404, {}, "database not found"),
    "413": (413, {}, "too large"),
    "422": (422, {}, "no"),
    "429": (429, {"Retry-After": "1"}, "busy"),
    "500": (500, {}, "down"),
    "503": (503, {}, "later"),
}
PHASES = ["stopped", "killed", "black hole", "slow", "answer lost", "413 above one line", *ANSWERS]


def _script(name: str, over: threading.Event) -> Callable[[int, str, object], Answer | None]:
    def script(_: int, body: str, __: object) -> Answer | None:
        if name == "black hole":
            over.wait(10)
            return 503, {}, "nobody listens any more"
        if name == "answer lost":
            return LOST
        if name == "slow":
            over.wait(0.2)
            return None
        if name == "413 above one line":
            return ANSWERS["413"] if "\n" in body else None
        return ANSWERS[name]

    return script


@contextmanager
def device(first: itertools.count[int]) -> Iterator[int]:
    """A Modbus device whose register 0 counts its reads; its port."""
    ports: list[int] = []
    up, loop, end = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def live() -> None:
        table = Table(10, [number(0, "I", lambda _: float(next(first)))])
        async with serve({1: {"holding": table}}) as running:
            ports.append(running.port)
            up.set()
            await end.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),))
    thread.start()
    assert up.wait(10)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join()
        loop.close()


def acquired(state: StateDir) -> list[tuple[int, int]]:
    """Time and value of every reading in the outbox."""
    db = sqlite3.connect(state.outbox("counter"))
    bodies = [body for (body,) in db.execute("SELECT body FROM batches ORDER BY id")]
    db.close()
    found = [lines.parse(line) for body in bodies for line in unpack(body).decode().splitlines()]
    return [(at_ns, int(fields["n"])) for name, _, fields, at_ns in found if name == "counter"]


def test_every_reading_is_stored_once_through_everything_that_can_go_wrong(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "state")
    state.root.mkdir()
    seed = random.SystemRandom().randrange(1000)
    until = time.monotonic() + DURATION_S
    counter = itertools.count(1)
    with influxd(tmp_path) as influx, scripted(influx.url) as proxy, device(counter) as port:
        influx.query("CREATE DATABASE plant")
        storm = Storm(state, influx, proxy, port, seed)
        storm.start("counter")
        storm.start("plant")
        try:
            wait_until(lambda: state.report("counter").exists() and acquired(state), "first readings", 20)
            rounds = 0
            while time.monotonic() < until or len(acquired(state)) < AT_LEAST:
                rounds += 1
                for name in storm.random.sample(PHASES, len(PHASES)):
                    storm.phase(name)
            storm.end("counter", signal.SIGTERM)
            wait_until(lambda: settled(state, "counter", "plant"), "all to be delivered", 60)
            refused = replay(state)
        finally:
            for child in storm.children.values():
                child.kill()
                child.wait()
        truth = acquired(state)
        stored = [(row["time"], row["n"]) for row in influx.query('SELECT n FROM "counter"', "plant")]
        quality = 2 * len(influx.query("SELECT quality FROM daq_quality", "plant"))
    print(f"seed {seed}: {len(truth)} readings, {storm.kills} kills, {rounds * len(PHASES)} phases,"
          f" {proxy.requests} requests, {refused} lines refused and replayed")  # fmt: skip
    assert rounds
    assert len(truth) >= AT_LEAST
    assert len({value for _, value in truth}) == len(truth)
    assert stored == sorted(truth), f"seed {seed}"
    counts = points(state, "counter", "plant")
    assert counts == Points(counts.acquired, delivered=counts.acquired), f"seed {seed}"
    assert counts.acquired - quality == len(truth), f"seed {seed}"


def replay(state: StateDir) -> int:
    """Have what was refused by a server that lied sent again; how many lines it was."""
    path = state.dead_letters("plant")
    refused = len(read_letters(path))
    if refused:
        ask_for_replay(path)
        answer = wait_until(lambda: replay_answer(path), "the replay", 30)
        assert answer == Replayed(refused, 0)
    return refused
