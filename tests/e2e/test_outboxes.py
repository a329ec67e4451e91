"""Outboxes of a whole plant: without their collector, without room, within their share, and types that are locked."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from collectors.outbox.receipt import Receipt
from tests.collectors.test_buffer import no_space
from tests.e2e.plant import Plant, collector
from tests.e2e.test_control import told
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

FAR = """apiVersion: daq/v1
kind: Sink
metadata: {name: far}
spec: {type: influxdb, url: "http://127.0.0.1:9", database: iot}
"""


def acquired_by(plant: Plant, name: str) -> int:
    """Points that a collector, whatever became of it, has committed for the embedded database."""
    receipt = Receipt.decode((plant.state / "outbox" / f"{name}.db.receipt").read_bytes())
    assert receipt
    return receipt.acquired["local"]


def live(plant: Plant, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads((plant.state / "live" / f"{name}.json").read_bytes())
    return found


def test_a_removed_collectors_outbox_is_drained_and_then_deleted(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.write("other.yaml", collector("other", port))
    plant.start_loop()
    plant.wait_ready("press", "other", "local")
    wait_until(lambda: len(plant.rows("select 1 from samples where collector = 'press'")) > 10, "readings")
    (plant.desired / "press.yaml").unlink()
    wait_until(lambda: "OutboxRemoved" in told(plant, "press"), "the outbox to be removed", 40)
    left = [
        path for path in plant.state.rglob("*press*") if path.parent.name in ("outbox", "live", "reports")
    ]
    assert left == []
    assert (plant.state / "outbox" / "other.db").exists()
    stored = plant.rows("select tag, ts_ns from samples where collector = 'press'")
    assert len(stored) == len(set(stored))


def test_a_removed_sink_drains_until_what_is_queued_is_too_old(plant: Plant) -> None:
    port = plant.device()
    plant.write("far.yaml", FAR)
    plant.write("press.yaml", collector("press", port, extra="  sinks: [far]\n"))
    plant.start_loop()
    plant.wait_ready("press", "far")
    wait_until(lambda: plant.status("press")["points"]["queued"] > 20, "points to queue up", 30)
    assert "of buffer left" in plant.condition("press", "DataHeld")["message"]
    (plant.desired / "far.yaml").unlink()
    plant.write("press.yaml", collector("press", port))
    wait_until(lambda: "draining" in plant.daq("diff").stdout, "the sink to drain", 30)
    shown = plant.daq("diff")
    assert "queued points first" in shown.stdout
    plant.write("press.yaml", collector("press", port, extra="  buffer: {maxAge: 1s}\n"))
    wait_until(lambda: not plant.pids("far"), "the sink to go", 40)
    points = plant.status("press")["points"]
    assert points["dropped"] > 20
    assert points["acquired"] == sum(points[k] for k in ("delivered", "queued", "dropped", "rejected"))
    assert "DataDropped" in told(plant, "press")


def test_an_outbox_damaged_under_a_running_plant_is_mended_and_told(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.start_loop()
    plant.wait_ready("press", "local")
    wait_until(lambda: plant.rows("select 1 from samples"), "the sender to know the outbox")
    (victim,), (sender,) = plant.pids("press"), plant.pids("local")
    os.kill(sender, signal.SIGSTOP)
    queued = plant.status("press")["points"]["queued"]
    wait_until(lambda: plant.status("press")["points"]["queued"] > queued + 20, "points to queue up", 30)
    os.kill(victim, signal.SIGSTOP)  # else what it has in memory would be written over the damage
    for name in ("press.db", "press.db-wal"):
        with (plant.state / "outbox" / name).open("r+b") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(4096)
            file.write(random.Random(1).randbytes(size - 4096))
    os.kill(victim, signal.SIGKILL)
    os.kill(sender, signal.SIGCONT)
    wait_until(lambda: plant.condition("press", "Healthy").get("reason") == "OutboxDamaged", "the damage", 40)
    assert plant.pids("local") == [sender]
    assert "OutboxDamaged" in told(plant, "press")
    asides = list((plant.state / "outbox").glob("press.db.corrupt-*"))
    assert max(asides).name in plant.condition("press", "Healthy")["message"]
    count = len(plant.rows("select 1 from samples"))
    wait_until(lambda: len(plant.rows("select 1 from samples")) > count + 20, "readings after it", 30)
    points = plant.status("press")["points"]
    assert points["acquired"] == sum(points[k] for k in ("delivered", "queued", "dropped", "rejected"))
    for aside in asides:
        aside.unlink()
    wait_until(lambda: plant.condition("press", "Healthy").get("status") == "True", "it to be well again", 30)


def test_an_outbox_removed_under_a_running_plant_loses_nothing(plant: Plant) -> None:
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    plant.start_loop()
    plant.wait_ready("press", "local")
    (sender,) = plant.pids("local")
    os.kill(sender, signal.SIGSTOP)
    wait_until(lambda: plant.status("press")["points"]["queued"] > 20, "points to queue up", 30)
    held = acquired_by(plant, "press")
    for file in (plant.state / "outbox").glob("press.*"):
        file.unlink()
    wait_until((plant.state / "outbox" / "press.db.receipt").exists, "the outbox to be put back", 30)
    os.kill(sender, signal.SIGCONT)
    wait_until(
        lambda: plant.status("press")["points"]["delivered"] > held + 20,
        "all of it, and more, in the sink",
        30,
    )
    assert plant.status("press")["points"]["dropped"] == 0
    assert plant.daq("audit", "press").returncode == 0


def test_a_log_damaged_while_nobody_ran_is_told_although_a_sender_comes_first(plant: Plant) -> None:
    plant.write("press.yaml", collector("press", plant.device()))
    plant.start_loop()
    plant.wait_ready("press", "local")
    wait_until(lambda: plant.rows("select 1 from samples"), "the sender to know the outbox")
    (sender,) = plant.pids("local")
    os.kill(sender, signal.SIGSTOP)
    queued = plant.status("press")["points"]["queued"]
    wait_until(lambda: plant.status("press")["points"]["queued"] > queued + 20, "points to queue up", 30)
    plant.end_loop(signal.SIGKILL)
    for pid in (*plant.pids("press"), sender):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not plant.pids("press") and not plant.pids("local"), "their ends")
    acquired = acquired_by(plant, "press")
    log = plant.state / "outbox" / "press.db-wal"
    with log.open("r+b") as file:
        file.seek(log.stat().st_size * 3 // 4)
        file.write(random.Random(1).randbytes(4096))
    before = len(plant.rows("select 1 from samples"))
    (spec,) = (plant.state / "specs").glob("local.*.json")
    with subprocess.Popen([sys.executable, "-m", "collectors", spec], stderr=subprocess.DEVNULL) as first:
        wait_until(lambda: len(plant.rows("select 1 from samples")) > before, "what it can read to be stored")
        first.kill()
    plant.start_loop()
    wait_until(lambda: plant.condition("press", "Healthy").get("reason") == "OutboxDamaged", "the damage", 40)
    assert "OutboxDamaged" in told(plant, "press")
    plant.wait_ready("press", "local")
    points = plant.status("press")["points"]
    assert points["dropped"] > 0
    assert points["acquired"] >= acquired
    audited = plant.daq("audit", "press")
    assert audited.returncode == 0, audited.stdout + audited.stderr
    stored = plant.rows("select ts_ns, tag from samples")
    assert len(stored) == len(set(stored))


def test_outboxes_share_what_all_of_them_may_take(plant: Plant) -> None:
    port = plant.device()
    plant.write("a.yaml", collector("a", port))
    plant.write("b.yaml", collector("b", port, extra="  buffer: {maxBytes: 20MiB}\n"))
    plant.start_loop("--buffer-total", "100MiB")
    plant.wait_ready("a", "b")
    assert live(plant, "b")["buffer_share"] == 20 << 20
    assert live(plant, "a")["buffer_share"] == 80 << 20
    before = plant.pids("a")
    plant.write("c.yaml", collector("c", port))
    plant.wait_ready("c")
    wait_until(lambda: plant.status("a")["buffer"]["max_bytes"] == 40 << 20, "a to give some away", 40)
    assert plant.pids("a") == before
    buffer = plant.status("a")["buffer"]
    assert buffer["bytes"] < 2 << 20
    assert 0 < buffer["covers_s"] <= 7 * 86400
    assert "/40 MiB" in plant.daq("status", "-o", "wide").stdout
    assert plant.daq("diff", "--buffer-total", "lots").returncode == 2


def test_a_change_of_a_stored_type_is_refused_and_the_running_version_stays(plant: Plant) -> None:
    port = plant.device()
    path = plant.write("press.yaml", collector("press", port))
    plant.start_loop()
    plant.wait_ready("press")
    before = plant.pids("press")
    text = path.read_text()
    path.write_text(text.replace("type: uint16", "type: uint16, scale: 0.1"))
    wait_until(lambda: plant.condition("press", "ManifestInvalid"), "the change to be refused")
    shown = plant.daq("diff")
    assert shown.returncode == 2
    assert "press.yaml:1:1: spec.tags: first: first is stored as integer" in shown.stderr
    assert "give the tag a new name" in shown.stderr
    assert plant.daq("apply").returncode == 2
    assert plant.pids("press") == before
    path.write_text(
        text.replace("name: first", "name: first_scaled").replace("type: uint16", "type: uint16, scale: 0.1")
    )
    wait_until(lambda: plant.pids("press") not in (before, []), "the new name to be taken")
    plant.wait_ready("press")
    assert plant.daq("diff").returncode == 0


@pytest.fixture
def small_plant(tmp_path: Path) -> Iterator[Plant]:
    """One whose state directory is a disk of 12 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    plant = Plant(tmp_path)
    plant.state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", plant.state], check=True)
    try:
        yield plant
        plant.close()
    finally:
        subprocess.run(["umount", "--lazy", plant.state], check=True)


def test_a_full_disk_restarts_nothing_and_loses_nothing(small_plant: Plant) -> None:
    plant = small_plant
    port = plant.device()
    plant.write("press.yaml", collector("press", port, extra="  health: {staleAfter: 3s}\n"))
    plant.start_loop()
    plant.wait_ready("press", "local")
    wait_until(lambda: len(plant.rows("select 1 from samples")) > 10, "readings")
    before = plant.pids()
    with no_space(plant.state):
        threading.Event().wait(15)  # five times as long as a report may be away
        health = json.loads(plant.daq("status", "press", "-o", "json").stdout or "{}")
        assert plant.pids() == before
    wait_until(lambda: plant.status("press")["points"]["queued"] < 10, "the outbox to be drained", 30)
    wait_until(lambda: plant.condition("press", "Healthy").get("status") == "True", "it to be well again", 30)
    assert plant.pids() == before
    points = plant.status("press")["points"]
    assert points["dropped"] == points["rejected"] == 0
    times = [at for (at,) in plant.rows("select ts_ns from samples where tag = 'first' order by ts_ns")]
    gaps = [(b - a) / 1e9 for a, b in pairwise(times)]
    assert max(gaps) < 2  # through the fifteen seconds, too
    assert health is not None
    with closing(sqlite3.connect(plant.state / "data.db")) as db:
        assert db.execute("PRAGMA quick_check").fetchone() == ("ok",)
