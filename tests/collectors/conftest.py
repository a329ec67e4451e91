from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import StateDir
from tests.databases import Influx, Victoria, influxd, victoria_metrics


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    return StateDir(tmp_path / "state")


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with influxd(tmp_path_factory.mktemp("influxd")) as server:
        yield server


@pytest.fixture(scope="session")
def victoria(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victoria]:
    with victoria_metrics(tmp_path_factory.mktemp("victoria")) as server:
        yield server
