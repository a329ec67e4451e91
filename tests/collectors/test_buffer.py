"""What becomes of readings while the outbox cannot take them; on real file systems that are full or read-only."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from collectors.batch import HOLD_BYTES, Batch
from collectors.buffer import Buffer
from collectors.contract import LiveFile, Points, Report, StateDir, to_json, write_json
from collectors.live import Live
from collectors.outbox import Outbox
from collectors.outbox.file import files
from tests.collectors.running import until

BLANK = Report("c", "i", "d", 1, "b", 0.0, 0.0)

needs_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[StateDir]:
    """A state directory on a disk of 1 MiB."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", tmp_path], check=True)
    try:
        yield StateDir(tmp_path)
    finally:
        subprocess.run(["umount", tmp_path], check=True)


@contextmanager
def no_space(disk: Path) -> Iterator[None]:
    """Fill a disk to the last byte."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 65536
        while size:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2
    yield
    filler.unlink()


def grow(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def noise(size: int) -> str:
    return random.randbytes(size // 2).hex()


def total(points: Points) -> Points:
    """The same, once it is clear that it adds up."""
    assert points.acquired == points.delivered + points.queued + points.dropped + points.rejected
    return points


@needs_mounts
def test_what_a_full_disk_does_not_take_is_kept_in_memory_and_counted(small: StateDir) -> None:
    async def main() -> None:
        with Outbox(small, "c") as outbox:
            live = Live(small, "c")
            batch = Batch(outbox, ("x",))
            buffer = Buffer(outbox, batch, live)
            batch.add("m a=1 1", 1)
            batch.commit()
            with no_space(small.root):
                batch.add(noise(100_000), 10)
                batch.route(("y",))
                batch.add(noise(100_000), 20)
                batch.commit()
                buffer.maintain()
                report = buffer.figures(BLANK)
                assert total(report.points["x"]) == Points(11, queued=11)
                assert total(report.points["y"]) == Points(20, queued=20)
                assert report.troubles["DataHeld"].reason == "OutboxUnwritable"
            buffer.maintain()  # its live file says nothing of sinks: "local"
            report = buffer.figures(BLANK)
            assert report.troubles == {}
            assert (
                outbox.counts() == report.points == {"x": Points(11, queued=11), "y": Points(20, queued=20)}
            )

    asyncio.run(main())


@needs_mounts
def test_what_does_not_fit_in_memory_either_is_dropped_oldest_first_and_counted(small: StateDir) -> None:
    async def main() -> None:
        with Outbox(small, "c") as outbox:
            batch = Batch(outbox, ("x",))
            batch.add("m a=1 1", 1)
            batch.commit()
            with no_space(small.root):
                for _ in range(HOLD_BYTES // 1_000_000 + 4):
                    batch.add(noise(1_000_000), 100)
                    batch.commit()
                counts = total(batch.counts()["x"])
                assert counts.acquired == 2001
                assert counts.dropped == 400
                while batch.counts()["x"].dropped < 1900:
                    batch.add(noise(HOLD_BYTES - 1000), 100)
                    batch.commit()
            grow(small.root)
            before = batch.counts()
            batch.commit()
            assert batch.trouble is None
            assert outbox.counts() == before
        again = Outbox(small, "c")
        assert again.counts() == before
        again.close()

    asyncio.run(main())


@needs_mounts
def test_an_outbox_on_a_read_only_disk_is_opened_once_it_can_be_written(small: StateDir) -> None:
    async def main() -> None:
        with read_only(small.root):
            outbox = Outbox(small, "c")
            batch = Batch(outbox, ("x",))
            batch.add("m a=1 1", 1)
            batch.commit()
            assert batch.counts() == {"x": Points(1, queued=1)}
        batch.commit()
        assert outbox.counts() == {"x": Points(1, queued=1)}
        outbox.close()

    asyncio.run(main())


def test_damage_that_shows_while_it_runs_is_mended_beside_collection(state: StateDir) -> None:
    async def main() -> None:
        with Outbox(state, "c") as outbox:
            batch = Batch(outbox, ("x",))
            write_json(state.live("c"), to_json(LiveFile(("x",))))
            buffer = Buffer(outbox, batch, Live(state, "c"))
            for n in range(200):
                batch.add(f'm a="{noise(200)}" {n}', 1)
                batch.commit()
            outbox.close()
            path = files(state.outbox("c"))[0]
            with path.open("r+b") as file:
                file.seek(4096 * 4)
                file.write(random.randbytes(4096 * 30))
            batch.add("m a=2 1", 1)
            batch.commit()
            buffer.maintain()
            assert outbox.damage
            batch.add("m a=3 1", 1)
            batch.commit()
            assert total(batch.counts()["x"]).acquired == 202

            def mended() -> bool:
                buffer.maintain()
                return not outbox.damage and batch.trouble is None

            await until(mended, "the outbox to be rebuilt")
            report = buffer.figures(BLANK)
            assert report.troubles["Healthy"].reason == "OutboxDamaged"
            assert "c.db.corrupt-" in report.troubles["Healthy"].message
            counts = total(report.points["x"])
            assert counts.acquired == 202
            assert counts.queued >= 1
            for aside in path.parent.glob("*.corrupt-*"):
                aside.unlink()
            assert buffer.figures(BLANK).troubles == {}

    asyncio.run(main())


def test_limits_change_while_it_runs_and_the_report_tells_what_is_left(state: StateDir) -> None:
    async def main() -> None:
        with Outbox(state, "c") as outbox:
            live = Live(state, "c")
            batch = Batch(outbox, ("x",))
            buffer = Buffer(outbox, batch, live)
            for n in range(40):
                batch.add(f'm a="{noise(100_000)}" {n}', 1)
                batch.commit()
            buffer.maintain()
            report = buffer.figures(BLANK)
            assert report.buffer is not None
            assert report.buffer.max_bytes == 256 << 20
            assert 4_000_000 * 0.4 < report.buffer.bytes < 8_000_000
            assert 0 < report.buffer.covers_s < 7 * 86400
            assert report.troubles == {}
            write_json(
                state.live("c"),
                to_json(LiveFile(("x",), {"buffer": {"maxBytes": "3MiB"}}, buffer_share=1 << 20)),
            )
            live.look()
            buffer.maintain()
            report = buffer.figures(BLANK)
            assert report.buffer is not None
            assert report.buffer.max_bytes == 1 << 20
            assert report.buffer.bytes <= 1 << 20
            assert report.troubles["DataHeld"].reason == "DataDropped"
            assert total(report.points["x"]).dropped > 20

    asyncio.run(main())
