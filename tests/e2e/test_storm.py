"""Reconcilers and collectors may be killed at any moment: none is lost, none doubled, no stranger signalled."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.e2e


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=110, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_reconciler_killed_at_any_step_leaves_the_next_one_the_same_end() -> None:
    assert "0 wrong ends" in run("tests.crashing", "--points", "40")


@pytest.mark.parametrize("source", [[], ["--git"]], ids=["directory", "commits"])
def test_a_storm_of_kills_edits_and_stops_loses_doubles_and_signals_nothing(source: list[str]) -> None:
    said = run("tests.storm", "--kills", "250", "--seed", "1", *source)
    assert "lost: 0" in said
    assert "doubled: 0" in said
    assert "foreign signals: 0" in said
