"""The API's description is true: whatever it allows is answered as it says, and nothing else is served."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import write_json
from reconciler.events import EventLog
from reconciler.model import History, Termination
from reconciler.news import News
from reconciler.server.operations import OPERATIONS
from tests.reconciler.serving import Served, served, sink, status

EXAMPLES = 10


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path) as endpoint:
        end = Termination("press", "i", "1-a", None, 9, "wait", at=3.0, ended=2.0, lived_s=1.0, tail="gone")
        endpoint.publish(
            status("press"),
            status("oven", status="stopped", labels={}),
            sink("plant"),
            histories={"press": History(terminations=(end,))},
        )
        EventLog(endpoint.state).append([News("Started", "not running yet", "press")], 4.0)
        endpoint.state.log("press").parent.mkdir()
        endpoint.state.log("press").write_text("one\ntwo\n")
        value = {"device": "press", "tag": "t", "value": 1.5, "unit": "bar", "quality": "good", "at": 5.0}
        write_json(endpoint.state.values("press"), {"at": 5.0, "values": [{**value, "raw": "0x0001"}]})
        yield endpoint


@pytest.mark.e2e
def test_every_answer_is_as_described_whatever_is_asked(endpoint: Served, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{endpoint.port}/openapi.json"
    schemathesis = [sys.executable, "-m", "schemathesis.cli", "run", url]
    options = ["--checks", "all", "--max-examples", str(EXAMPLES), "--seed", "1", "--no-color"]
    run = subprocess.run(
        [*schemathesis, *options], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_every_path_is_described_and_answers(endpoint: Served) -> None:
    paths = endpoint.get("/openapi.json").json["paths"]
    assert set(paths) == {o.path for o in OPERATIONS}
    for path in paths:
        assert endpoint.get(path.replace("{name}", "press")).code == 200
