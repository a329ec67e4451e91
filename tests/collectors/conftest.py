from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import StateDir
from tests.collectors import opcua_server
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


@pytest.fixture(scope="session")
def asyncua() -> Iterator[opcua_server.Running]:
    """An OPC UA server that tests share; they leave it as it was."""
    with opcua_server.running() as server:
        yield server


@pytest.fixture(scope="session")
def node_opcua() -> Iterator[opcua_server.Running]:
    """The same of another make."""
    with opcua_server.running("node-opcua") as server:
        yield server


@pytest.fixture(params=["asyncua", "node_opcua"])
def opcua(request: pytest.FixtureRequest) -> opcua_server.Running:
    """One after the other."""
    server = request.getfixturevalue(request.param)
    assert isinstance(server, opcua_server.Running)
    return server
