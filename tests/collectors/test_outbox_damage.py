from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from collectors.contract import Points, StateDir
from collectors.cursor import Cursor
from collectors.cursors import Cursors, Settled
from collectors.feed import Feed
from collectors.lines import parse
from collectors.outbox import Outbox, receipt
from collectors.outbox.file import files
from collectors.wal import DamagedError, connect

ROWS, LINES = 300, 20


def line(n: int) -> bytes:
    return b'm,collector=c value=%di,text="%s" %d' % (n, random.Random(n).randbytes(24).hex().encode(), n)


def fill(state: StateDir) -> None:
    """An outbox of rows that all stand in its main file."""
    with Outbox(state, "c") as outbox:
        for row in range(ROWS):
            outbox.append(b"\n".join(line(row * LINES + n) for n in range(LINES)), 2 * LINES, ("x",))


def values(state: StateDir) -> list[int]:
    """What a sender would send, in order."""
    with closing(Feed(state.outbox("c"), "x")) as feed:
        chunks = feed.oldest(Cursor(), 10**9).chunks
    return [int(parse(text)[2]["value"]) for chunk in chunks for text in chunk.body.decode().splitlines()]


def overwrite(path: Path, at: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(random.Random(at).randbytes(size))


def middle(path: Path) -> None:
    overwrite(path, path.stat().st_size // 2, 20_000)


def header(path: Path) -> None:
    overwrite(path, 0, 100)


def everything(path: Path) -> None:
    overwrite(path, 0, path.stat().st_size)


def truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 // 4096 * 4096)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE other(a); INSERT INTO other VALUES (1)")


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


SALVAGED: dict[Callable[[Path], None], float] = {middle: 0.85, header: 0.99, truncated: 0.4, newer: 1.0}
"""The least share of the readings that is still there; 0 for all others."""


@pytest.mark.parametrize(
    "harm", [middle, header, everything, truncated, emptied, foreign, newer], ids=lambda h: h.__name__
)
def test_damage_is_noticed_set_aside_counted_and_collection_goes_on(
    state: StateDir, harm: Callable[[Path], None]
) -> None:
    fill(state)
    with Cursors(state, "x") as sender, closing(Feed(state.outbox("c"), "x")) as feed:
        sender.begin(feed.uuid, "c", feed.noted())
        sender.take_off({feed.uuid: ("c", [(1, 10)])})
        sender.acknowledge({feed.uuid: Settled([(1, 10)], delivered={0: 10 * 2 * LINES})})
    harm(state.outbox("c"))
    outbox = Outbox(state, "c")
    outbox.counts()
    if outbox.damage is None:  # what opening does not touch, a sender finds
        with closing(Feed(state.outbox("c"), "x")) as feed, Cursors(state, "x") as sender:
            with pytest.raises(sqlite3.DatabaseError):
                feed.again([(1, ROWS)])
            sender.tell_damaged(feed.uuid, feed.inode)
        with pytest.raises(DamagedError):
            outbox.maintain(1 << 40, 1e9)
    assert outbox.damage
    with pytest.raises(sqlite3.DatabaseError):
        outbox.append(line(0), 2, ("x",))
    outbox.rebuild()
    outbox.append(line(10**6), 2, ("x",))
    kept = values(state)
    assert kept[-1] == 10**6
    assert kept == sorted(set(kept))
    counts = outbox.counts()["x"]
    assert counts.queued == 2 * sum(value >= 10 * LINES for value in kept)
    assert counts.acquired == counts.delivered + counts.queued + counts.dropped
    assert len(kept) >= SALVAGED.get(harm, 0) * (ROWS - 10) * LINES
    if harm in SALVAGED:  # counters could be read, so it is known what was lost
        assert counts.acquired == 2 * (ROWS * LINES + 1)
        assert counts.delivered == 2 * 10 * LINES
    assert outbox.set_aside and outbox.set_aside[0].startswith("c.db.corrupt-")
    outbox.close()
    again = Outbox(state, "c")
    assert again.counts()["x"] == counts
    assert again.damage is None
    again.close()


def test_an_outbox_of_the_first_version_is_taken_over_whole(state: StateDir) -> None:
    path = state.outbox("c")
    with closing(connect(path, write=True, auto_vacuum=True)) as db:
        db.executescript(
            """
            CREATE TABLE meta(uuid TEXT NOT NULL);
            CREATE TABLE routes(id INTEGER PRIMARY KEY, sinks TEXT NOT NULL UNIQUE);
            CREATE TABLE batches(
              id INTEGER PRIMARY KEY AUTOINCREMENT, at_ns INTEGER NOT NULL, route INTEGER NOT NULL REFERENCES routes,
              points INTEGER NOT NULL, lines INTEGER NOT NULL, body BLOB NOT NULL
            );
            CREATE TABLE counters(
              sink TEXT PRIMARY KEY, acquired INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0
            ) WITHOUT ROWID;
            INSERT INTO meta VALUES ('abc'); INSERT INTO routes VALUES (1, 'x'); PRAGMA user_version = 1;
            INSERT INTO counters VALUES ('x', 40, 10)
            """
        )
        db.executemany(
            "INSERT INTO batches VALUES (?, 1, 1, 2, 1, ?)",
            [(n, b"m value=%di,b=1 1\n" % n) for n in range(5, 20)],
        )
    outbox = Outbox(state, "c")
    assert outbox.counts() == {}
    outbox.rebuild()
    assert outbox.uuid == "abc"
    assert outbox.counts() == {"x": Points(40, queued=30, dropped=10)}
    assert values(state) == list(range(5, 20))
    outbox.close()


def test_a_half_written_rebuild_is_begun_again_and_a_whole_one_finished(state: StateDir) -> None:
    fill(state)
    path = state.outbox("c")
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_bytes(b"half")
    with Outbox(state, "c") as outbox:
        assert outbox.counts()["x"].queued == ROWS * LINES * 2
        outbox.rebuild()
    assert len(values(state)) == ROWS * LINES
    path.rename(unfinished)
    files(path)[1].write_bytes(b"of the damaged one")
    with Outbox(state, "c") as outbox:
        assert outbox.counts()["x"].queued == ROWS * LINES * 2


def test_what_a_sender_held_while_its_rows_were_damaged_counts_as_delivered(state: StateDir) -> None:
    fill(state)
    with Cursors(state, "x") as sender:
        outbox = Outbox(state, "c")
        sender.begin(outbox.uuid, "c", Cursor())
        sender.take_off({outbox.uuid: ("c", [(1, ROWS)])})
        outbox.close()
        with closing(sqlite3.connect(state.outbox("c"))) as db:
            db.execute("UPDATE batches SET body = x'00' WHERE id > 200")
            db.commit()
        outbox.rebuild()
        assert outbox.counts()["x"].dropped == 100 * 2 * LINES
        sender.acknowledge({outbox.uuid: Settled([(1, ROWS)], delivered={0: ROWS * 2 * LINES})})
        outbox.prune()
        assert outbox.counts()["x"] == Points(ROWS * 2 * LINES, delivered=ROWS * 2 * LINES)
        outbox.close()


def killed_with_a_log(state: StateDir) -> StateDir:
    """What a collector leaves that was killed after 100 rows of 2 points, about half of them in the log."""
    killed = StateDir(state.root.with_name("killed"))
    with Outbox(state, "c") as outbox:
        for row in range(100):
            outbox.append(line(row), 2, ("x",))
            if row == 50:
                with closing(sqlite3.connect(state.outbox("c"))) as db:
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copytree(state.outbox("c").parent, killed.outbox("c").parent)
    return killed


def nobody(_: StateDir) -> None:
    """The collector is the first to open it."""


def a_sender(state: StateDir) -> None:
    """One comes, takes some of what it finds, and dies."""
    with Cursors(state, "x") as sender, closing(Feed(state.outbox("c"), "x")) as feed:
        sender.begin(feed.uuid, "c", feed.noted())
        sender.take_off({feed.uuid: ("c", [(1, 10)])})
        sender.acknowledge({feed.uuid: Settled([(1, 10)], delivered={0: 20})})


def a_curious_person(state: StateDir) -> None:
    """Looks with the `sqlite3` program, which writes the log back and removes it."""
    with closing(sqlite3.connect(state.outbox("c"))) as db:
        db.execute("SELECT count(*) FROM batches").fetchone()
    assert not files(state.outbox("c"))[1].exists()


@pytest.mark.parametrize("place", [0, 0.5, 0.99], ids=["header", "middle", "end"])
@pytest.mark.parametrize("first", [nobody, a_sender, a_curious_person], ids=lambda f: f.__name__)
def test_of_a_damaged_log_every_reading_that_is_lost_is_counted_whoever_opens_it_first(
    state: StateDir, place: float, first: Callable[[StateDir], None]
) -> None:
    killed = killed_with_a_log(state)
    log = files(killed.outbox("c"))[1]
    overwrite(log, int(log.stat().st_size * place) // 4096 * 4096, 4096)
    first(killed)
    with Outbox(killed, "c") as outbox:
        counts = outbox.counts()["x"]
        assert counts.acquired == 200
        assert counts.dropped
        assert counts.acquired == counts.delivered + counts.queued + counts.dropped
        assert counts.queued == 2 * sum(value >= counts.delivered // 2 for value in values(killed))
        assert len(values(killed)) + counts.delivered // 2 >= 50
        assert outbox.set_aside
        assert outbox.set_aside[0].endswith("-receipt" if first is a_curious_person else "-wal")
        outbox.append(line(100), 2, ("x",))
        assert values(killed)[-1] == 100
    with Outbox(killed, "c") as outbox:
        assert outbox.counts()["x"] == counts + Points(2, queued=2)
        assert outbox.set_aside


def test_what_a_power_cut_took_is_counted_and_called_no_damage(state: StateDir) -> None:
    killed = StateDir(state.root.with_name("killed"))
    with Outbox(state, "c") as outbox:
        for row in range(10):
            outbox.append(line(row), 2, ("x",))
        outbox.sync()
        outbox.counts()
        shutil.copytree(state.outbox("c").parent, killed.outbox("c").parent)
        for row in range(10, 20):
            outbox.append(line(row), 2, ("x",))
        newest = receipt.path_of(state.outbox("c"))
        found = receipt.Receipt.decode(newest.read_bytes())
    assert found and found.synced == 10
    receipt.path_of(killed.outbox("c")).write_bytes(replace(found, boot="before").encode())
    with Outbox(killed, "c") as outbox:
        assert outbox.counts()["x"] == Points(40, queued=20, dropped=20)
        assert outbox.set_aside is None
        outbox.append(line(20), 2, ("x",))
        with closing(sqlite3.connect(killed.outbox("c"))) as db:
            assert db.execute("SELECT max(id) FROM batches").fetchone() == (21,)
    receipt.path_of(killed.outbox("c")).write_bytes(
        replace(found, boot="before", last=30, synced=25, acquired={"x": 60}).encode()
    )
    with Outbox(killed, "c") as outbox:  # what was on disk may not be missing
        assert outbox.counts()["x"] == Points(60, queued=22, dropped=38)
        assert outbox.set_aside and outbox.set_aside[0].endswith("-receipt")


@pytest.mark.parametrize("left", [b"", b"half of i", b"0badc0de a b 1 1 x=5\n"])
def test_a_receipt_that_is_not_whole_says_nothing(state: StateDir, left: bytes) -> None:
    fill(state)
    receipt.path_of(state.outbox("c")).write_bytes(left)
    with Outbox(state, "c") as outbox:
        assert outbox.counts()["x"].acquired == ROWS * LINES * 2
        assert outbox.set_aside is None
    found = receipt.Receipt.decode(receipt.path_of(state.outbox("c")).read_bytes())
    assert found and found.acquired == {"x": ROWS * LINES * 2}


def test_what_an_outbox_held_that_somebody_removed_is_counted_as_dropped(state: StateDir) -> None:
    fill(state)
    for file in files(state.outbox("c")):
        file.unlink(missing_ok=True)
    points = 2 * ROWS * LINES
    with Outbox(state, "c") as outbox:
        assert outbox.counts()["x"] == Points(points, dropped=points)
        assert outbox.set_aside and outbox.set_aside[0].endswith("-receipt")
        outbox.append(line(0), 2, ("x",))
    with Outbox(state, "c") as outbox:
        assert outbox.counts()["x"] == Points(points + 2, queued=2, dropped=points)


def file_only(outbox: Path) -> None:
    outbox.unlink()


def its_log(outbox: Path) -> None:
    files(outbox)[1].unlink()


def receipt_only(outbox: Path) -> None:
    receipt.path_of(outbox).unlink()


def all_of_it(outbox: Path) -> None:
    for file in outbox.parent.glob("c.*"):
        file.unlink()


def another_in_its_place(outbox: Path) -> None:
    shutil.copyfile(outbox, outbox.with_name("copy"))
    outbox.with_name("copy").replace(outbox)


@pytest.mark.parametrize(
    "remove", [file_only, its_log, receipt_only, all_of_it, another_in_its_place], ids=lambda r: r.__name__
)
def test_what_is_removed_under_its_collector_is_put_back_whole(
    state: StateDir, remove: Callable[[Path], None]
) -> None:
    with Outbox(state, "c") as outbox:
        for row in range(10):
            outbox.append(line(row), 2, ("x",))
        outbox.maintain(1 << 30, 3600)
        with closing(Feed(state.outbox("c"), "x")):
            remove(state.outbox("c"))
            outbox.append(line(10), 2, ("x",))
            with pytest.raises(DamagedError, match="was removed or replaced"):
                outbox.maintain(1 << 30, 3600)
            assert outbox.damage
            outbox.rebuild()
        assert outbox.counts()["x"] == Points(22, queued=22)
        outbox.append(line(11), 2, ("x",))
        outbox.maintain(1 << 30, 3600)
        assert values(state) == list(range(12))
    found = receipt.Receipt.decode(receipt.path_of(state.outbox("c")).read_bytes())
    assert found and found.acquired == {"x": 24}


def test_a_log_cut_off_by_a_kill_is_no_damage(state: StateDir) -> None:
    killed = StateDir(state.root.with_name("killed"))
    with Outbox(state, "c") as outbox:
        for row in range(19):
            outbox.append(line(row), 2, ("x",))
        before = receipt.path_of(state.outbox("c")).read_bytes()
        outbox.append(line(19), 2, ("x",))
        shutil.copytree(state.outbox("c").parent, killed.outbox("c").parent)
    receipt.path_of(killed.outbox("c")).write_bytes(before)  # it died before the commit was over
    with files(killed.outbox("c"))[1].open("r+b") as file:
        file.truncate(file.seek(0, 2) - 100)
    with Outbox(killed, "c") as outbox:
        assert outbox.counts()["x"].acquired == 2 * 19
        assert outbox.set_aside is None
