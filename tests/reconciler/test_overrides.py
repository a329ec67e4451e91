from __future__ import annotations

from pathlib import Path

import pytest

from collectors.contract import StateDir
from reconciler.loop.overrides import Overrides
from reconciler.model import Pause

WALL = 1_800_000_000.0
PAUSE = Pause("eve", "valve is open", WALL + 60)


def test_what_was_ordered_is_known_to_the_next_reconciler(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    before = Overrides(state)
    before.pause(["a", "b"], PAUSE)
    before.restart({"c": ("i1",)})
    before.resume(["b", "nobody"])
    after = Overrides(state)
    assert (after.pauses, after.restarts) == ({"a": PAUSE}, {"c": ("i1",)})


def test_a_pause_runs_out_and_a_restart_is_over_when_its_instances_are_gone(tmp_path: Path) -> None:
    overrides = Overrides(StateDir(tmp_path))
    overrides.pause(["a"], PAUSE)
    overrides.restart({"c": ("i1", "i2"), "d": ("i3",)})
    overrides.forget_past({"c": ["i2", "i9"], "d": ["i8"]}, WALL + 59)
    assert (overrides.pauses, overrides.restarts) == ({"a": PAUSE}, {"c": ("i1", "i2")})
    overrides.forget_past({}, WALL + 60)
    assert (overrides.pauses, overrides.restarts) == ({}, {})


@pytest.mark.parametrize("text", ["", "[]", '{"pauses": {"a": 1}, "restarts": {}}', '{"pauses": {}}'])
def test_a_file_that_is_none_is_passed_over_and_said(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "overrides.json").write_text(text)
    overrides = Overrides(StateDir(tmp_path))
    assert (overrides.pauses, overrides.restarts) == ({}, {})
    assert "passed over" in caplog.text
