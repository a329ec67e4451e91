"""Reports are read as their writers leave them, and nothing else is believed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import Report, to_json, write_json
from tests.reconciler.children import Plant, plant_in


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with plant_in(tmp_path) as plant:
        yield plant


def report(name: str, at: float = 1.0) -> Report:
    return Report(name, "i", "d", 1, "boot", 2.0, at)


def test_a_report_is_read_again_when_it_was_replaced(plant: Plant) -> None:
    for at in (1.0, 2.0):
        write_json(plant.state.report("a"), to_json(report("a", at)))
        assert plant.processes.reports(["a"]) == {"a": report("a", at)}


def test_torn_and_foreign_reports_are_passed_over_with_one_line(
    plant: Plant, caplog: pytest.LogCaptureFixture
) -> None:
    write_json(plant.state.report("a"), to_json(report("a")))
    plant.state.report("b").write_text('{"name": "b", "inst')
    write_json(plant.state.report("c"), [])
    write_json(plant.state.report("d"), to_json(report("somebody-else")))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert plant.processes.reports(["a", "b", "c", "d", "../a"]) == {"a": report("a")}
    assert sorted(Path(r.getMessage().split()[2].rstrip(",")).stem for r in caplog.records) == ["b", "c"]
