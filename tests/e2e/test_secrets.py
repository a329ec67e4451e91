"""A secret planted in every place that a manifest has for one appears in nothing that daq prints, stores or serves."""

from __future__ import annotations

import json
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.sync.client import connect

from reconciler.server.operations import OPERATIONS
from tests.e2e.plant import Plant, collector
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

IN_ENVIRONMENT = ("V2_TOKEN", "OPCUA_PASSWORD", "FROM_ENV")
IN_FILES = ("v1-password", "v2-token", "opcua-password", "from-file")
LITERAL = "planted-literal-of-spec-env"
"""Stands in the manifest itself, so also in the copies of it that a child is started from."""
COPIES_OF_MANIFESTS = ("specs/", "good/")

SINKS = """apiVersion: daq/v1
kind: Sink
metadata: {name: by-env}
spec: {type: influxdb, url: "http://127.0.0.1:9", org: o, bucket: b, token: {env: V2_TOKEN}}
---
apiVersion: daq/v1
kind: Sink
metadata: {name: by-file}
spec: {type: influxdb, url: "http://127.0.0.1:9", org: o, bucket: b, token: {file: ../v2-token}}
---
apiVersion: daq/v1
kind: Sink
metadata: {name: by-password}
spec: {type: influxdb, url: "http://127.0.0.1:9", database: d, username: u, password: {file: ../v1-password}}
"""

TELLTALE = f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: telltale}}
spec:
  type: exec
  command: [sh, -c, 'echo "cannot log in with $API_KEY, $FROM_ENV, $FROM_FILE"; sleep 0.2; exit 3']
  env:
    API_KEY: {LITERAL}
    FROM_ENV: {{env: FROM_ENV}}
    FROM_FILE: {{file: ../from-file}}
  restart: {{delay: 200ms, maxDelay: 1s}}
"""


def opcua(name: str, password: str) -> str:
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: opcua
  sinks: [by-env, by-file, by-password]
  devices:
    - {{url: "opc.tcp://127.0.0.1:9", timeout: 1s, user: {{name: operator, password: {password}}}}}
  tags: [{{name: t, node: "ns=2;i=5"}}]
"""


@pytest.fixture
def planted(plant: Plant) -> Iterator[Plant]:
    """A plant with secrets everywhere, running, its exec collector failing with all it knows."""
    for name in IN_ENVIRONMENT:
        plant.environ[name] = secret(name)
    for name in IN_FILES:
        (plant.root / name).write_text(f"{secret(name)}\n")
    (plant.root / "token").write_text(secret("api-token"))
    port = plant.device()
    plant.write("sinks.yaml", SINKS)
    plant.write("telltale.yaml", TELLTALE)
    plant.write("by-env.yaml", opcua("opcua-by-env", "{env: OPCUA_PASSWORD}"))
    plant.write("by-file.yaml", opcua("opcua-by-file", "{file: ../opcua-password}"))
    sinks = "  sinks: [by-env, by-file, by-password]\n"
    plant.write("press.yaml", collector("press", port, extra=sinks))
    plant.start_loop("--api-token-file", str(plant.root / "token"))
    plant.wait_ready("press", "opcua-by-env", "opcua-by-file", deadline_s=60)
    wait_until(lambda: plant.status("telltale")["restart_count"] > 1, "telltale to fail again", 30)
    yield plant


def secret(name: str) -> str:
    return f"planted-{name}-1234"


SECRETS = [*map(secret, (*IN_ENVIRONMENT, *IN_FILES, "api-token")), LITERAL]


def found(text: str | bytes) -> list[str]:
    raw = text.encode() if isinstance(text, str) else text
    return [s for s in SECRETS if s.encode() in raw]


def test_nothing_that_is_printed_stored_or_served_holds_a_secret(planted: Plant) -> None:
    changed = TELLTALE.replace(LITERAL, f"{LITERAL}-changed").replace("FROM_FILE: {file: ../from-file}", "")
    paused = planted.root / "other"
    paused.mkdir()
    for name in ("sinks.yaml", "by-env.yaml"):
        text = (planted.desired / name).read_text()
        (paused / name).write_text(text.replace("V2_TOKEN", "FROM_ENV").replace("OPCUA_PASSWORD", "FROM_ENV"))
    (paused / "telltale.yaml").write_text(changed)
    (paused / "wrong.yaml").write_text(TELLTALE.replace("restart:", "restrat:").replace("telltale", "wrong"))

    for command in (
        ("status", "-o", "json"),
        ("status", "-o", "wide"),
        ("diff",),
        ("diff", "--desired", "other"),
        ("diff", "--desired", "other", "-o", "json"),
        ("validate", "other"),
        ("events",),
        ("events", "-o", "json"),
        ("apply", "--timeout", "1s"),
        *(("logs", name) for name in ("press", "opcua-by-env", "by-env", "by-file", "by-password")),
    ):
        done = planted.daq(*command)
        assert not found(done.stdout + done.stderr), command
        assert done.stdout + done.stderr or command[0] == "logs", command

    assert "cannot log in with ***, ***, ***" in planted.status("telltale")["last_error"]
    for path, body in served(planted):
        assert not found(body), path
    for path, data in stored(planted.state):
        known = [s for s in found(data) if not (s == LITERAL and path.startswith(COPIES_OF_MANIFESTS))]
        assert not known, path
    for pid in [planted.loop.pid if planted.loop else 0, *planted.pids()]:
        assert not found(Path(f"/proc/{pid}/cmdline").read_bytes())
    planted.end_loop(signal.SIGTERM)
    assert not found(planted.said())


def served(plant: Plant) -> Iterator[tuple[str, bytes]]:
    """Whatever the endpoint answers; an exec's own log aside: what a program writes, people must be able to read."""
    bearer = {"Authorization": f"Bearer {secret('api-token')}"}
    names = [s["name"] for s in json.loads(fetch(f"{plant.url}/api/processes", bearer))]
    assert len(names) == 8
    for operation in OPERATIONS:
        for name in names if "{name}" in operation.path else [""]:
            path = operation.path.replace("{name}", name)
            if path != "/api/processes/telltale/logs":
                yield path, fetch(f"{plant.url}{path}", bearer)
    for path in ("/", "/metrics", "/openapi.json", "/nowhere"):
        yield path, fetch(f"{plant.url}{path}", bearer)
    yield "/api/processes", fetch(f"{plant.url}/api/processes", {})
    with connect(f"{plant.url.replace('http', 'ws')}/ws/processes", additional_headers=bearer) as feed:
        yield "/ws/processes", str(feed.recv()).encode()


def fetch(url: str, headers: dict[str, str]) -> bytes:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.read()


def stored(state: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the state directory; databases also as their rows."""
    for path in sorted(p for p in state.rglob("*") if p.is_file() and p.name != "telltale.log"):
        try:
            yield str(path.relative_to(state)), path.read_bytes()
            if path.suffix == ".db":
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                    yield str(path.relative_to(state)), "\n".join(database.iterdump()).encode()
        except FileNotFoundError:
            continue  # replaced while we looked
