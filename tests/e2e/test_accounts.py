"""`daq audit` and `daq dead-letter`: a real sender process, a real influxd, the real program."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import Points, SpecFile, StateDir
from collectors.outbox import Outbox
from tests.collectors.sending import FAST, points, report, settled, sink, start_sender
from tests.databases import Influx, influxd
from tests.e2e.plant import DAQ
from tests.scripted import Answer, scripted
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

NOW = time.time_ns()


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with influxd(tmp_path_factory.mktemp("influxd")) as server:
        yield server


def daq(state: StateDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DAQ, *arguments, "--state-dir", str(state.root)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def accounts(state: StateDir, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit code, and the accounts by collector and sink."""
    done = daq(state, "audit", "-o", "json", *arguments)
    assert not done.stderr, done.stderr
    return done.returncode, {f"{a['collector']} {a['sink']}": a for a in json.loads(done.stdout)["accounts"]}


@contextmanager
def sending(state: StateDir, *specs: SpecFile) -> Iterator[None]:
    senders = [start_sender(spec, state, state.root / "log") for spec in specs]
    try:
        yield
    finally:
        for sender in senders:
            sender.terminate()
            sender.wait(10)


def fill(outbox: Outbox, collector: str, first: int, count: int, *sinks: str, step_ns: int = 1) -> None:
    made = [
        f'm{n % 3},collector={collector},device=d a={n},s="x {n}" {NOW + n * step_ns}'
        for n in range(first, first + count)
    ]
    made.append(f'daq_quality,collector={collector},device=d,tag=a quality="bad",reason="X" {NOW + first}')
    outbox.append("\n".join(made).encode(), 2 * count + 2, sinks)


def test_an_audit_of_both_kinds_of_sinks_adds_up_and_sees_what_is_missing(
    state: StateDir, influx: Influx
) -> None:
    influx.query("CREATE DATABASE audited")
    plant = sink(type="influxdb", url=influx.url, database="audited")
    with (
        Outbox(state, "c1") as c1,
        Outbox(state, "c2") as c2,
        sending(state, plant, sink("local", type="sqlite")),
    ):
        for first in range(0, 1000, 100):
            fill(c1, "c1", first, 100, "plant", "local")
        fill(c2, "c2", 0, 50, "local")
        for name, target in (("c1", "plant"), ("c1", "local"), ("c2", "local")):
            wait_until(lambda n=name, t=target: settled(state, n, t), f"{name} in {target}")  # type: ignore[misc]
        code, found = accounts(state)
        assert code == 0
        assert {k: (a["delivered"], a["stored"], a["wrong"]) for k, a in found.items()} == {
            "c1 local": (2020, 2020, []),
            "c1 plant": (2020, 2020, []),
            "c2 local": (102, 102, []),
        }
        assert found["c1 plant"]["points"] == {
            "acquired": 2020, "delivered": 2020, "queued": 0, "dropped": 0, "rejected": 0
        }  # fmt: skip
        assert list(accounts(state, "c2")[1]) == ["c2 local"]
        fill(c2, "c2", 500, 10, "nobody")
        code, found = accounts(state, "c2")
        assert code == 0
        assert found["c2 nobody"]["points"]["queued"] == 22
        assert "nothing has been sent" in found["c2 nobody"]["unknown"]

        influx.query(f"DELETE FROM m1 WHERE time < {NOW + 10}", "audited")
        done = daq(state, "audit")
        assert done.returncode == 1
        assert "plant holds 6 points of c1 less than were delivered since" in done.stdout
        c2.prune()
        db = sqlite3.connect(state.outbox("c2"), isolation_level=None)
        db.execute("DELETE FROM batches")
        db.close()
        assert "c2 counts 22 points queued for nobody, but its outbox holds 0" in daq(state, "audit").stdout
        influx.query("DROP DATABASE audited")
        assert daq(state, "audit", "plant").returncode == 1


def test_an_audit_while_everything_moves_is_still_right(state: StateDir, influx: Influx) -> None:
    influx.query("CREATE DATABASE moving")
    plant = sink(type="influxdb", url=influx.url, database="moving", batch={"lines": 200, "maxAge": "20ms"})
    with Outbox(state, "c") as outbox, sending(state, plant):
        for n in range(300):
            fill(outbox, "c", n * 100, 100, "plant")
        wait_until(lambda: points(state, "c", "plant").delivered, "a beginning")
        audits = 0
        while not settled(state, "c", "plant") or audits < 2:
            code, found = accounts(state)
            assert (code, found["c plant"]["wrong"]) == (0, [])
            audits += 1
            outbox.prune()
        assert accounts(state)[1]["c plant"]["stored"] == 300 * 202


def test_what_cannot_be_asked_is_said_and_not_guessed(state: StateDir) -> None:
    with scripted() as server, Outbox(state, "c") as outbox:
        plant = sink(type="influxdb", url=server.url, database="d")
        with sending(state, plant):
            fill(outbox, "c", 0, 10, "plant")
            wait_until(lambda: settled(state, "c", "plant"), "delivery")
            done = daq(state, "audit")
            assert done.returncode == 0
            assert f"not counted: plant: {server.url} is no InfluxDB that could be asked" in done.stdout
    done = daq(state, "audit")
    assert done.returncode == 1
    assert "cannot count what plant holds: cannot reach" in done.stdout
    assert daq(state, "audit", "press").returncode == 1


def test_dead_letters_are_listed_and_replayed_and_what_is_refused_again_stays(state: StateDir) -> None:
    mended = False

    def script(_: int, body: str, __: object) -> Answer | None:
        lines = body.splitlines()
        bad = [line for line in lines if " b=" in line or (" a=3i" in line and not mended)]
        return (400, {}, f"unable to parse '{bad[0]}'") if bad else None

    with scripted() as server, Outbox(state, "c") as outbox:
        server.script = script
        made = [f"m,collector=c a={n}i {NOW + n}" for n in range(20)]
        made[7] = f"m,collector=c b=7i,c=1 {NOW + 7}"
        plant = SpecFile(
            "Sink", "plant", "d1", {"type": "influxdb", "url": server.url, "database": "d", "batch": FAST}
        )
        assert daq(state, "dead-letter", "list", "plant").returncode == 1
        with sending(state, plant):
            outbox.append("\n".join(made).encode(), 21, ("plant",))
            wait_until(lambda: settled(state, "c", "plant"), "delivery")
            assert points(state, "c", "plant") == Points(21, delivered=18, rejected=3)
            letters = json.loads(daq(state, "dead-letter", "list", "plant", "-o", "json").stdout)
            assert {x["line"]: x["points"] for x in letters} == {made[3]: 1, made[7]: 2}
            assert "unable to parse" in daq(state, "dead-letter", "list", "plant").stdout
            mended = True
            done = daq(state, "dead-letter", "replay", "plant")
            assert (done.returncode, done.stdout) == (1, "1 taken, 1 refused again\n")
            assert points(state, "c", "plant") == Points(21, delivered=19, rejected=2)
            (left,) = json.loads(daq(state, "dead-letter", "list", "plant", "-o", "json").stdout)
            assert left["line"] == made[7]
            server.script = lambda *_: None
            done = daq(state, "dead-letter", "replay", "plant")
            assert (done.returncode, done.stdout) == (0, "1 taken, 0 refused again\n")
            assert points(state, "c", "plant") == Points(21, delivered=21)
            assert daq(state, "dead-letter", "list", "plant").stdout == "plant has no dead letters\n"
            wait_until(lambda: (r := report(state, "plant")) and r.points["c"].rejected == 0, "the report")
            assert server.stored == set(made)
        assert not state.dead_letters("plant").exists()


def test_a_replay_without_a_sender_is_told_so_and_leaves_everything(state: StateDir) -> None:
    with scripted() as server, Outbox(state, "c") as outbox:
        server.script = lambda _, body, __: (400, {}, "unable to parse") if "b=" in body else None
        with sending(state, sink(type="influxdb", url=server.url, database="d")):
            outbox.append(f"m a=1 {NOW}\nm b=1 {NOW}".encode(), 2, ("plant",))
            wait_until(lambda: settled(state, "c", "plant"), "delivery")
    done = daq(state, "dead-letter", "replay", "plant", "--timeout", "100ms")
    assert done.returncode == 1
    assert "the sender of plant did not get them through in 100ms" in done.stderr
    assert [path.name for path in state.dead_letters("plant").parent.iterdir()] == ["plant.ndjson"]
