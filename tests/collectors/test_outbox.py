from __future__ import annotations

import sqlite3
from pathlib import Path

from collectors.contract import Points, StateDir
from collectors.cursors import Cursors, Settled
from collectors.outbox import Outbox, turn

LOTS, FOREVER = 1 << 40, 1e9


def rows(state: StateDir) -> list[int]:
    with sqlite3.connect(state.outbox("c")) as db:
        found = [row for (row,) in db.execute("SELECT id FROM batches ORDER BY id")]
    db.close()
    return found


def adds_up(points: Points) -> bool:
    parts = (points.delivered, points.queued, points.dropped, points.rejected)
    return min(parts) >= 0 and points.acquired == sum(parts)


def test_points_are_counted_once_for_each_sink_they_go_to(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1,b=2 1\nm a=3 2", 3, ("x", "y"))
        outbox.append(b"m a=1 3", 1, ("y",))
        assert outbox.counts() == {"x": Points(acquired=3, queued=3), "y": Points(acquired=4, queued=4)}


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
            outbox.append(b"m a=1 1\n" * 2000, 2000, ("x",))
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
            outbox.append(b"x" * 100_000, 1, ("x",))
        outbox.sync()
        before = state.outbox("c").stat().st_size
        sender.take_off({outbox.uuid: ("c", [(1, 100)])})
        sender.acknowledge({outbox.uuid: Settled([(1, 100)], delivered={0: 100})})
        for _ in range(12):
            outbox.maintain(LOTS, FOREVER)
        outbox.sync()
        assert before > 9_000_000
        assert state.outbox("c").stat().st_size < 2_000_000


def test_what_a_power_cut_took_after_its_delivery_still_adds_up(state: StateDir, tmp_path: Path) -> None:
    with Outbox(state, "c") as outbox, Cursors(state, "x") as sender:
        outbox.append(b"m a=1 1", 1, ("x",))
        outbox.sync()
        saved = state.outbox("c").read_bytes()
        outbox.append(b"m a=1 2", 1, ("x",))
        outbox.append(b"m a=1 3", 1, ("x",))
        sender.take_off({outbox.uuid: ("c", [(1, 2)])})
        sender.acknowledge({outbox.uuid: Settled([(1, 2)], delivered={0: 2})})
    state.outbox("c").write_bytes(saved)
    with Outbox(state, "c") as outbox:
        assert outbox.counts() == {"x": Points(2, delivered=2)}
        outbox.append(b"m a=1 4", 1, ("x",))
        outbox.prune()
        assert rows(state) == [3]
        assert adds_up(outbox.counts()["x"])


def test_without_sinks_nothing_is_stored(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ())
        assert (rows(state), outbox.counts()) == ([], {})
