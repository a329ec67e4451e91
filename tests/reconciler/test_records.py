"""What is remembered survives, also beside a file that nobody can read."""

from __future__ import annotations

from pathlib import Path

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


def test_a_record_that_cannot_be_read_is_set_aside(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    Records(state).save({"good": History()})
    bad = tmp_path / "records" / "bad.json"
    bad.write_text("{")
    assert set(Records(state).histories) == {"good"}
    assert not bad.exists()
    assert bad.with_suffix(".broken").read_text() == "{"
