"""What is remembered survives, also beside a file that nobody can read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from collectors.contract import StateDir
from reconciler.loop.records import Records
from reconciler.model import History


def test_histories_come_back_and_forgotten_ones_do_not(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    records = Records(state)
    kept, dropped = History(boot_id="b", digest="1-a", restart_count=3), History(boot_id="b")
    records.save({"kept": kept, "dropped": dropped})
    records.save({"kept": kept})
    assert Records(state).histories == {"kept": kept}


def test_what_was_put_in_a_hurry_is_made_durable_by_the_next_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    records = Records(StateDir(tmp_path))
    records.put("a", History(boot_id="b"))
    assert Records(StateDir(tmp_path)).histories == records.histories
    assert len(synced) == 0
    for _ in range(2):
        records.save(records.histories)
        assert len(synced) == 1


def test_a_slow_disk_keeps_a_save_for_a_moment_and_the_next_ones_make_up_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []

    def slow(fd: int) -> None:
        synced.append(fd)
        threading.Event().wait(0.03)

    monkeypatch.setattr(os, "fsync", slow)
    records = Records(StateDir(tmp_path))
    records.save({f"c{n}": History(boot_id="b") for n in range(6)})
    assert 1 <= len(synced) <= 2
    assert Records(StateDir(tmp_path)).histories == records.histories
    for _ in range(5):
        records.save(records.histories)
    assert len(synced) == 6


def test_a_record_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    Records(state).save({"good": History()})
    bad = tmp_path / "records" / "bad.json"
    bad.write_text("{")
    assert set(Records(state).histories) == {"good"}
    assert not bad.exists()
    assert bad.with_suffix(".broken").read_text() == "{"
