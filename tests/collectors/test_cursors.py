from __future__ import annotations

import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.contract import StateDir
from collectors.cursor import LAST, Cursor, Rows
from collectors.cursorfile import read_cursor, read_ledger
from collectors.cursors import Cursors, Settled
from collectors.hours import HOUR_NS

NOW = 1_793_480_000 * 10**9 // HOUR_NS


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_whatever_the_order_every_row_is_taken_once_and_ends_up_settled(data: st.DataObject) -> None:
    cursor, last = Cursor(), 20
    taken: list[int] = []
    while cursor.position < last:
        gaps = [(first, min(end, last)) for first, end in cursor.gaps() if first <= last]
        if cursor.flights and (not gaps or data.draw(st.booleans())):
            landed = data.draw(st.lists(st.sampled_from(cursor.flights), min_size=1, unique=True))
            cursor = cursor.settle(landed, len(landed), 0)
            continue
        first, end = data.draw(st.sampled_from(gaps))
        low = data.draw(st.integers(first, end))
        rows: Rows = (low, data.draw(st.integers(low, end)))
        taken += range(rows[0], rows[1] + 1)
        cursor = cursor.take_off([rows])
        assert all(cursor.sending(row) and not cursor.passed(row) for row in range(rows[0], rows[1] + 1))
        assert cursor.seen == max(taken)
    assert sorted(taken) == list(range(1, last + 1))
    assert (cursor.ahead, cursor.flights, cursor.gaps()) == ((), (), [(last + 1, LAST)])


def test_a_cursor_reads_back_as_it_was_committed(state: StateDir) -> None:
    with Cursors(state, "plant") as cursors:
        cursors.take_off({"u": ("c", [(1, 5), (9, 9), (20, 30)])})
        cursors.acknowledge({"u": Settled([(1, 5)], 1, {NOW: 4}), "v": Settled([])})
        cursors.acknowledge({"u": Settled([(20, 30)], 0, {NOW: 10, NOW + 1: 1})})
        wanted = Cursor(5, 15, 1, ahead=((20, 30),), flights=((9, 9),))
        assert cursors.get("u") == wanted
    assert read_cursor(state, "plant", "u") == wanted
    assert [read_ledger(state, "plant", "c", NOW, end) for end in (NOW, NOW + 1, NOW + 2)] == [0, 14, 15]


def test_what_a_predecessor_left_on_its_way_is_handed_over_once(state: StateDir) -> None:
    with Cursors(state, "plant") as cursors:
        cursors.take_off({"u": ("c", [(1, 5)])})
        assert cursors.left_over("u") == ()
    with Cursors(state, "plant") as cursors:
        assert cursors.left_over("u") == ((1, 5),)
        assert cursors.left_over("u") == ()
        cursors.take_off({"u": ("c", [(1, 5), (6, 7)])})
        assert cursors.get("u").flights == ((1, 5), (6, 7))


def test_what_was_put_back_can_be_taken_again(state: StateDir) -> None:
    with Cursors(state, "plant") as cursors:
        cursors.take_off({"u": ("c", [(1, 5), (8, 9)])})
        cursors.put_back({"u": [(1, 5)]})
        assert cursors.get("u").gaps() == [(1, 7), (10, LAST)]
    assert read_cursor(state, "plant", "u") == Cursor(flights=((8, 9),))


def test_a_replayed_letter_moves_the_counters_once(state: StateDir) -> None:
    with Cursors(state, "plant") as cursors:
        cursors.take_off({"u": ("c", [(1, 1)])})
        cursors.acknowledge({"u": Settled([(1, 1)], 3, {NOW: 7})})
        for _ in range(2):
            cursors.replayed([("letter", "u", NOW, 2), ("of an outbox that is gone", "v", NOW, 1)])
        assert cursors.already_replayed() == {"letter", "of an outbox that is gone"}
        cursors.forget_replayed()
        assert (cursors.get("u").delivered, cursors.get("u").rejected) == (9, 1)
    assert read_ledger(state, "plant", "c", 0, LAST) == 9


def test_what_a_full_disk_refused_to_note_is_counted_once_when_it_can_be_noted(state: StateDir) -> None:
    with Cursors(state, "plant") as cursors:
        cursors.take_off({"u": ("c", [(1, 5)])})
        wanted = cursors.get("u")
        db = cursors._db
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        many = dict.fromkeys(range(NOW, NOW + 2000), 1)
        with pytest.raises(sqlite3.OperationalError, match="full"):
            cursors.acknowledge({"u": Settled([(1, 5)], 0, many)})
        assert cursors.get("u") == wanted
        db.execute("PRAGMA max_page_count = 1000000")
        cursors.acknowledge({"u": Settled([(1, 5)], 0, many)})
        assert cursors.get("u") == Cursor(5, 2000)
    assert read_cursor(state, "plant", "u") == Cursor(5, 2000)
