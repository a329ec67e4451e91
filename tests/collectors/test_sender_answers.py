"""Answers that real servers here never give: a scripted HTTP server, a real sender."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from collectors.contract import Points, SpecFile, StateDir
from collectors.outbox import Outbox
from tests.collectors.sending import held, points, send_until, settled, sink

Answer = tuple[int, dict[str, str], str]
Script = Callable[[int, str, Any], Answer | None]
"""Number of the request from 0, body, headers -> status, headers, text; None to store and say 204."""


class Scripted(ThreadingHTTPServer):
    """Answers as `script` says; remembers what it stored."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: Script = lambda *_: None
        self.requests = 0
        self.stored: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one segment an answer: no wait for a delayed acknowledgement
    server: Scripted

    def do_POST(self) -> None:
        body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"]))).decode()
        number, self.server.requests = self.server.requests, self.server.requests + 1
        answer = self.server.script(number, body, self.headers)
        if answer is None:
            self.server.stored.update(body.splitlines())
        status, headers, text = answer or (204, {}, "")
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[Scripted]:
    with Scripted() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(params=["v1", "v2"])
def spec(request: pytest.FixtureRequest, server: Scripted) -> SpecFile:
    where = {"database": "d"} if request.param == "v1" else {"bucket": "b", "org": "o"}
    return sink(type="influxdb", url=server.url, **where)


def fill(state: StateDir, *collectors: str, count: int = 100) -> list[str]:
    """One batch of each collector; all lines."""
    made = []
    for name in collectors:
        lines = [f"m,collector={name} a={n}i {n}" for n in range(count)]
        with Outbox(state, name) as outbox:
            outbox.append("\n".join(lines).encode(), count, ("plant",))
        made += lines
    return made


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_server_in_trouble_gets_the_batch_again_until_it_takes_it(
    state: StateDir, server: Scripted, spec: SpecFile, status: int
) -> None:
    lines = fill(state, "c")
    server.script = lambda number, *_: (status, {}, "busy") if number < 1 else None
    send_until(spec, state, lambda: settled(state, "c", "plant"), "delivery")
    assert server.stored == set(lines)
    assert points(state, "c", "plant") == Points(100, delivered=100)


def test_retry_after_is_waited_for(state: StateDir, server: Scripted, spec: SpecFile) -> None:
    fill(state, "c")
    at: list[float] = []

    def script(number: int, *_: object) -> Answer | None:
        import time

        at.append(time.monotonic())
        return (503, {"Retry-After": "1"}, "busy") if number == 0 else None

    server.script = script
    send_until(spec, state, lambda: settled(state, "c", "plant"), "delivery")
    assert 1.0 <= at[1] - at[0] < 2.0


def test_a_body_too_large_is_halved_until_it_fits(state: StateDir, server: Scripted, spec: SpecFile) -> None:
    lines = fill(state, "c1", "c2")
    server.script = lambda _, body, __: (413, {}, "too large") if body.count("\n") >= 30 else None
    send_until(
        spec, state, lambda: settled(state, "c1", "plant") and settled(state, "c2", "plant"), "delivery"
    )
    assert server.stored == set(lines)
    assert points(state, "c2", "plant") == Points(100, delivered=100)


def test_a_refused_secret_holds_until_another_stands_in_its_file(
    state: StateDir, server: Scripted, caplog: pytest.LogCaptureFixture
) -> None:
    lines = fill(state, "c")
    secret = state.root / "token"
    secret.write_text("hunter1\n")
    spec = sink(type="influxdb", url=server.url, bucket="b", org="o", token={"file": str(secret)})
    server.script = lambda _, __, headers: (
        None if headers["Authorization"] == "Token hunter2" else (401, {}, f"not {headers['Authorization']}")
    )

    def fixed() -> bool:
        if held(state, "plant") == "Unauthorized":
            secret.write_text("hunter2\n")
        return settled(state, "c", "plant") and held(state, "plant") is None

    send_until(spec, state, fixed, "delivery with the new token")
    assert server.stored == set(lines)
    assert "hunter" not in caplog.text + state.report("plant").read_text()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, {}, "unauthorized"), "Unauthorized"),
        ((403, {}, "forbidden"), "Forbidden"),
        ((404, {}, "database not found"), "DatabaseNotFound"),
        ((400, {}, "bucket is required"), "UnexpectedAnswer"),
        ((302, {"Location": "/"}, ""), "UnexpectedAnswer"),
    ],
)
def test_what_only_people_can_repair_is_held_and_said(
    state: StateDir, server: Scripted, spec: SpecFile, answer: Answer, reason: str
) -> None:
    fill(state, "c")
    server.script = lambda *_: answer
    send_until(spec, state, lambda: held(state, "plant") == reason, reason)
    assert points(state, "c", "plant") == Points(100, queued=100)
    assert not state.dead_letters("plant").exists()


def test_a_missing_secret_is_held_and_said(state: StateDir, server: Scripted) -> None:
    fill(state, "c")
    spec = sink(type="influxdb", url=server.url, bucket="b", token={"env": "NO_SUCH_VARIABLE"})
    send_until(spec, state, lambda: held(state, "plant") == "SecretUnreadable", "the alarm")
    assert server.requests == 0


@pytest.mark.parametrize("status", [400, 422])
def test_the_one_bad_line_of_a_refused_body_is_found(
    state: StateDir, server: Scripted, spec: SpecFile, status: int
) -> None:
    lines = fill(state, "c1", "c2")
    bad = {"m,collector=c1 a=7i 7", "m,collector=c2 a=99i 99"}
    server.script = lambda _, body, __: (
        (status, {}, '{"message": "unable to parse it"}') if bad & set(body.splitlines()) else None
    )
    send_until(
        spec, state, lambda: settled(state, "c1", "plant") and settled(state, "c2", "plant"), "delivery"
    )
    assert server.stored == set(lines) - bad
    letters = [json.loads(text) for text in state.dead_letters("plant").read_text().splitlines()]
    assert {letter["line"] for letter in letters} == bad
    assert points(state, "c1", "plant") == Points(100, delivered=99, rejected=1)
    assert points(state, "c2", "plant") == Points(100, delivered=99, rejected=1)


def test_a_partial_write_is_counted_to_the_collector_it_came_from(
    state: StateDir, server: Scripted, spec: SpecFile
) -> None:
    fill(state, "c1", "c2")

    def script(_: int, body: str, __: object) -> Answer | None:
        dropped = sum(line.startswith("m,collector=c2 a=1") for line in body.splitlines())
        text = f"partial write: field type conflict dropped={dropped}"
        return (400, {}, text) if dropped else None

    server.script = script
    send_until(
        spec, state, lambda: settled(state, "c1", "plant") and settled(state, "c2", "plant"), "delivery"
    )
    assert points(state, "c1", "plant") == Points(100, delivered=100)
    assert points(state, "c2", "plant") == Points(100, delivered=89, rejected=11)


def test_a_sender_asked_to_stop_while_the_sink_is_out_stops_and_keeps_the_data(state: StateDir) -> None:
    fill(state, "c")
    spec = sink(type="influxdb", url="http://127.0.0.1:1", database="d")
    assert send_until(spec, state, lambda: held(state, "plant") == "Unreachable", "the outage") == 0
    assert points(state, "c", "plant") == Points(100, queued=100)
