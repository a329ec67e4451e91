from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collectors.contract import Points, StateDir
from collectors.cursor import Cursor
from collectors.cursors import Cursors, Settled
from collectors.feed import Feed
from collectors.outbox import Outbox, turn
from collectors.outbox.file import files

LOTS, FOREVER = 1 << 40, 1e9


def rows(state: StateDir) -> list[int]:
    with sqlite3.connect(state.outbox("c")) as db:
        found = [row for (row,) in db.execute("SELECT id FROM batches ORDER BY id")]
    db.close()
    return found


def noise(size: int) -> bytes:
    """Lines that take that many bytes, however they are packed."""
    return os.urandom(size).replace(b"\n", b"N")


def on_disk(state: StateDir) -> int:
    return sum(file.stat().st_size for file in files(state.outbox("c"))[:2] if file.exists())


def adds_up(points: Points) -> bool:
    parts = (points.delivered, points.queued, points.dropped, points.rejected)
    return min(parts) >= 0 and points.acquired == sum(parts)


def test_points_are_counted_once_for_each_sink_they_go_to(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1,b=2 1\nm a=3 2", 3, ("x", "y"))
        outbox.append(b"m a=1 3", 1, ("y",))
        assert outbox.counts() == {"x": Points(acquired=3, queued=3), "y": Points(acquired=4, queued=4)}


def test_a_new_outbox_waits_for_no_disk_and_is_put_on_it_whole_by_the_first_sync(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, forced = state.outbox("c"), []
    monkeypatch.setattr(os, "fdatasync", lambda fd: forced.append(Path(f"/proc/self/fd/{fd}").readlink()))
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ("x",))
        assert forced == []
        outbox.sync()
        assert forced == [path, files(path)[1], path.parent]
        outbox.append(b"m a=1 2", 1, ("x",))
        outbox.sync()
        assert forced[3:] == [files(path)[1]]


def test_counts_and_identity_survive_reopening(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ("x",))
        first = outbox.uuid
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 2", 1, ("x",))
        assert (outbox.uuid, outbox.counts()) == (first, {"x": Points(acquired=2, queued=2)})


def test_rows_go_when_every_sink_of_their_route_has_passed_them(state: StateDir) -> None:
    with Outbox(state, "c") as outbox, Cursors(state, "x") as x, Cursors(state, "y") as y:
        outbox.append(b"m a=1 1", 1, ("x", "y"))
        outbox.append(b"m a=1 2", 1, ("x",))
        x.take_off({outbox.uuid: ("c", [(1, 2)])})
        x.acknowledge({outbox.uuid: Settled([(1, 2)], delivered={0: 2})})
        outbox.prune()
        assert rows(state) == [1]
        y.take_off({outbox.uuid: ("c", [(1, 1)])})
        y.acknowledge({outbox.uuid: Settled([(1, 1)], 1)})
        outbox.prune()
        assert rows(state) == []
        assert outbox.counts() == {"x": Points(2, delivered=2), "y": Points(1, rejected=1)}


def test_the_oldest_are_dropped_and_counted_beyond_the_size(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        for _ in range(40):
            outbox.append(noise(16_000), 2000, ("x",))
            outbox.maintain(200_000, FOREVER)
        kept = rows(state)
        assert kept[-1] == 40
        assert kept == list(range(kept[0], 41))
        assert 3 <= len(kept) <= 13
        assert outbox.counts()["x"] == Points(
            80_000, queued=len(kept) * 2000, dropped=(40 - len(kept)) * 2000
        )


def test_the_oldest_are_dropped_and_counted_beyond_the_age(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ("x",))
        outbox.maintain(LOTS, 0)
        assert outbox.counts() == {"x": Points(1, dropped=1)}


def test_rows_in_flight_are_never_dropped(state: StateDir) -> None:
    with Outbox(state, "c") as outbox, Cursors(state, "x") as sender:
        for _ in range(4):
            outbox.append(b"m a=1 1", 1, ("x", "y"))
        sender.take_off({outbox.uuid: ("c", [(2, 3)])})
        outbox.maintain(LOTS, 0)
        assert rows(state) == [2, 3]
        sender.acknowledge({outbox.uuid: Settled([(2, 3)], delivered={0: 2})})
        outbox.maintain(LOTS, 0)
        assert rows(state) == []
        assert outbox.counts() == {"x": Points(4, delivered=2, dropped=2), "y": Points(4, dropped=4)}


def test_nothing_is_dropped_while_a_sender_chooses_its_rows(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ("x",))
        with turn(state.outbox("c")) as ours:
            assert ours
            outbox.maintain(LOTS, 0)
            assert rows(state) == [1]
        outbox.maintain(LOTS, 0)
        assert rows(state) == []


def test_space_is_given_back_after_an_outage(state: StateDir) -> None:
    with Outbox(state, "c") as outbox, Cursors(state, "x") as sender:
        for _ in range(100):
            outbox.append(noise(100_000), 1, ("x",))
        before = on_disk(state)
        sender.take_off({outbox.uuid: ("c", [(1, 100)])})
        sender.acknowledge({outbox.uuid: Settled([(1, 100)], delivered={0: 100})})
        outbox.prune()
        for _ in range(3):
            outbox.maintain(LOTS, FOREVER)
        assert before > 9_000_000
        assert state.outbox("c").stat().st_size < 2_000_000


def test_what_a_power_cut_took_after_its_delivery_still_adds_up(state: StateDir, tmp_path: Path) -> None:
    with Outbox(state, "c") as outbox, Cursors(state, "x") as sender:
        outbox.append(b"m a=1 1", 1, ("x",))
        outbox.sync()
        shutil.copytree(state.outbox("c").parent, tmp_path / "on disk")
        outbox.append(b"m a=1 2", 1, ("x",))
        outbox.append(b"m a=1 3", 1, ("x",))
        sender.take_off({outbox.uuid: ("c", [(1, 2)])})
        sender.acknowledge({outbox.uuid: Settled([(1, 2)], delivered={0: 2})})
    shutil.rmtree(state.outbox("c").parent)
    shutil.move(tmp_path / "on disk", state.outbox("c").parent)
    with Outbox(state, "c") as outbox:
        assert outbox.counts() == {"x": Points(2, delivered=2)}
        outbox.append(b"m a=1 4", 1, ("x",))
        outbox.prune()
        assert rows(state) == [3]
        assert adds_up(outbox.counts()["x"])


def test_without_sinks_nothing_is_stored(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ())
        assert outbox.counts() == {}
        assert rows(state) == []


@pytest.mark.parametrize("limit", [512 << 10, 4 << 20])
def test_file_and_log_together_stay_below_the_limit_however_long_it_fills(
    state: StateDir, limit: int
) -> None:
    a_second = limit // 20
    highest = 0
    with Outbox(state, "c") as outbox:
        for _ in range(60):
            outbox.append(noise(a_second), 10, ("x",))
            outbox.maintain(limit, FOREVER)
            highest = max(highest, on_disk(state))
        counts = outbox.counts()["x"]
        assert counts.dropped > 300
        assert adds_up(counts)
        assert highest <= limit + 3 * a_second
        for _ in range(4):
            outbox.maintain(limit // 4, FOREVER)
        assert on_disk(state) <= limit // 2


def test_points_lost_in_memory_are_counted_as_acquired_and_dropped(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ("x",))
        outbox.lose({"x": 7, "y": 2})
    with Outbox(state, "c") as outbox:
        assert outbox.counts() == {"x": Points(8, queued=1, dropped=7), "y": Points(2, dropped=2)}


def test_cursors_that_are_lost_go_on_where_rows_are_left(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        for n in range(4):
            outbox.append(b"m a=1 %d" % n, 1, ("x",))
        with Cursors(state, "x") as sender:
            sender.begin(outbox.uuid, "c", Cursor())
            sender.take_off({outbox.uuid: ("c", [(1, 2)])})
            sender.acknowledge({outbox.uuid: Settled([(1, 2)], delivered={0: 2})})
        outbox.prune()
        with Cursors(state, "x") as sender:
            sender.take_off({outbox.uuid: ("c", [(3, 3)])})
            sender.acknowledge({outbox.uuid: Settled([(3, 3)], 1)})
        state.cursors("x").write_bytes(b"nonsense" * 1000)
        assert outbox.counts()["x"] == Points(4, delivered=2, queued=2)
        feed = Feed(state.outbox("c"), "x")
        with closing(feed), Cursors(state, "x") as sender:
            sender.begin(feed.uuid, "c", feed.noted())
            assert feed.oldest(sender.get(feed.uuid), 100).rows == [(3, 4)]
            sender.take_off({feed.uuid: ("c", [(3, 4)])})
            sender.acknowledge({feed.uuid: Settled([(3, 4)], delivered={0: 2})})
        assert outbox.counts()["x"] == Points(4, delivered=4)
    assert list(state.cursors("x").parent.glob("x.db.corrupt-*"))
