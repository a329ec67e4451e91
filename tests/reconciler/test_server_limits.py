"""What one client may take: so long for a request, so many connections, so large a head."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from reconciler.server import connection, feed, listener, pace
from tests.reconciler.serving import LOOPBACK, UPGRADE, Served, served, status
from tests.waiting import wait_until


def raw(endpoint: Served, said: bytes = b"") -> socket.socket:
    client = socket.create_connection((LOOPBACK, endpoint.port), timeout=10)
    client.sendall(said)
    return client


def heard(client: socket.socket) -> bytes:
    """All until the other side ends."""
    data = b""
    while True:
        try:
            more = client.recv(65536)
        except ConnectionResetError:
            return data
        if not more:
            return data
        data += more


def problem(answer: bytes) -> tuple[int, str, str]:
    """Code, content type and detail of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    kind = next(line for line in head.decode().lower().splitlines() if line.startswith("content-type"))
    return int(head.split()[1]), kind.partition(": ")[2], json.loads(body)["detail"]


@pytest.mark.parametrize("said", [b"", b"GET /api/processes HTTP/1.1\r\nHost: local"])
def test_who_does_not_finish_asking_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connection, "FIRST_REQUEST_S", 0.2)
    with served(tmp_path, status("press")) as endpoint, raw(endpoint, said) as client:
        assert heard(client) == b""
        assert endpoint.get("/livez").code == 200


def test_who_does_not_take_the_answer_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "NEXT_REQUEST_S", 0.3)
    large = (status(f"c{n}", last_error="x" * 250_000) for n in range(20))
    with served(tmp_path, *large) as endpoint, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect((LOOPBACK, endpoint.port))
        client.sendall(b"GET /api/processes HTTP/1.1\r\nHost: localhost\r\n\r\n")
        whole = len(endpoint.get("/api/processes").body)
        time.sleep(0.5)  # what is tested is that nothing was taken for so long
        assert len(heard(client)) < whole


def test_the_kernel_ends_a_connection_whose_peer_takes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "STUCK_MS", 500)
    monkeypatch.setattr(feed, "QUEUED", 1)
    monkeypatch.setattr(feed, "FAREWELL_S", 0.1)
    large = [status(f"c{n}", last_error="x" * 250_000) for n in range(20)]
    with served(tmp_path, *large) as endpoint, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((LOOPBACK, endpoint.port))
        client.sendall(UPGRADE)
        wait_until(lambda: endpoint.server.feed.clients, "the client to be served")

        def let_go() -> bool:
            endpoint.publish(*({**s, "restart_count": time.time_ns()} for s in large))
            return not endpoint.server.feed.clients

        wait_until(let_go, "the client to be let go")
        wait_until(lambda: endpoint.server.connections == 0, "its connection to be gone")


def test_beyond_so_many_connections_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MOST_CONNECTIONS", 2)
    with served(tmp_path, status("press")) as endpoint, raw(endpoint), raw(endpoint):
        with raw(endpoint) as third:
            code, kind, detail = problem(heard(third))
        assert (code, kind) == (503, "application/problem+json")
        assert "2 connections are open already" in detail


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 40 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET /api/processes HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000,
    ],
)
def test_what_is_no_good_http_is_a_problem_too(tmp_path: Path, said: bytes) -> None:
    with served(tmp_path, status("press")) as endpoint:
        with raw(endpoint, said) as client:
            code, kind, _ = problem(heard(client))
        assert 400 <= code < 500
        assert kind == "application/problem+json"


def test_a_body_is_not_read(tmp_path: Path) -> None:
    with served(tmp_path, status("press")) as endpoint:
        head = b"POST /api/processes HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n"
        with raw(endpoint, head) as client:
            assert b"405" in client.recv(100)


def test_who_asks_faster_than_the_pace_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PER_S", 50.0)
    monkeypatch.setattr(pace, "AT_ONCE", 5)
    with served(tmp_path, status("press")) as endpoint:
        begin = time.perf_counter()
        for _ in range(30):
            assert endpoint.get("/livez").code == 200
        assert time.perf_counter() - begin >= 24 / 50
