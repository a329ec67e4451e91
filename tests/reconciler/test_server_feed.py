"""The WebSocket: everything on connect, changes at once and in order, and nobody waits for a slow client."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from reconciler.server import feed as feeding
from tests.reconciler.serving import LOOPBACK, Served, served, status
from tests.waiting import wait_until


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, status("oven"), status("press")) as endpoint:
        yield endpoint


def told(client: ClientConnection) -> Any:
    return json.loads(client.recv(timeout=10))


def test_on_connect_everything_is_told(endpoint: Served) -> None:
    with endpoint.listen() as client:
        message = told(client)
    assert message["type"] == "process_status_update"
    assert message["data"] == [status("oven"), status("press")]
    assert abs(message["timestamp"] - time.time()) < 60
    assert message["heartbeat_at"] == message["reconciler"]["heartbeat_at"] == 1000.5
    assert message["converged"] is True
    assert message["summary"]["total_processes"] == 2
    assert message["source"]["applied"] == "abc"


def test_changes_are_told_alone_and_in_order_and_counters_are_none(endpoint: Served) -> None:
    with endpoint.listen() as client:
        told(client)
        endpoint.publish(status("oven", uptime_s=4.0, cpu_percent=9.0), status("press"))
        for n in range(20):
            endpoint.publish(status("oven"), status("press", restart_count=n + 3))
            message = told(client)
            assert message["type"] == "process_status_change"
            assert [(s["name"], s["restart_count"]) for s in message["data"]] == [("press", n + 3)]
            assert message["number"] == n + 3
        endpoint.publish(status("press", restart_count=22))
        assert (message := told(client))["removed"] == ["oven"]
        assert message["data"] == []


def test_everything_is_told_again_every_few_seconds(
    endpoint: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "EVERY_S", 0.1)
    with endpoint.listen() as client:
        told(client)
        endpoint.publish(status("oven", uptime_s=4.0), status("press"), heartbeat_at=2000.0)
        message = told(client)
        assert message["type"] == "process_status_update"
        assert message["data"][0]["uptime_s"] == 4.0
        assert message["heartbeat_at"] == 2000.0


def test_who_asks_is_answered_with_everything(endpoint: Served) -> None:
    with endpoint.listen() as client:
        told(client)
        client.send('{"type":"get_status"}')
        message = told(client)
        assert (message["type"], len(message["data"])) == ("process_status", 2)
        for nonsense in ("", "[]", "{", '{"type":"stop"}', b"\xff"):
            client.send(nonsense)
            assert told(client)["type"] == "error"


def test_who_connects_again_misses_nothing(endpoint: Served) -> None:
    with endpoint.listen() as client:
        before = told(client)
    endpoint.publish(status("oven"), status("press", status="crashed"))
    endpoint.publish(status("oven"), status("press", restart_count=3))
    with endpoint.listen() as client:
        after = told(client)
        assert after["number"] == before["number"] + 2
        assert after["data"][1]["restart_count"] == 3
        endpoint.publish(status("oven"), status("press", restart_count=4))
        assert told(client)["number"] == after["number"] + 1


def test_a_client_before_the_first_pass_is_told_of_it(tmp_path: Path) -> None:
    with served(tmp_path) as endpoint, endpoint.listen() as client:
        endpoint.publish(status("press"))
        message = told(client)
        assert (message["type"], message["number"]) == ("process_status_update", 1)


def test_a_slow_reader_is_let_go_with_a_reason_and_others_are_not(
    endpoint: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "QUEUED", 4)
    monkeypatch.setattr(feeding, "EVERY_S", 60.0)
    large = [status(f"c{n}", last_error="x" * 50_000) for n in range(20)]
    endpoint.publish(*large)
    with narrow(endpoint) as slow, endpoint.listen() as quick:
        number = told(quick)["number"]
        while len(endpoint.server.feed.clients) == 2:
            number += 1
            assert number < 100, "the slow reader is still there"
            endpoint.publish(*({**s, "restart_count": number} for s in large))
            assert told(quick)["number"] == number
        with pytest.raises(ConnectionClosed) as caught:
            while True:
                slow.recv(timeout=10)
        closed = caught.value.rcvd
        assert closed is not None
        assert closed.code == 1013
        assert "too slow" in closed.reason


def narrow(endpoint: Served) -> ClientConnection:
    """A client that takes what it needs to connect, and no more until it is asked to."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect((LOOPBACK, endpoint.port))
    return endpoint.listen(sock=raw, max_queue=1)


def test_a_flood_of_questions_ends_with_a_reason(endpoint: Served) -> None:
    endpoint.publish(*(status(f"c{n}", last_error="x" * 50_000) for n in range(20)))
    with narrow(endpoint) as client, pytest.raises(ConnectionClosed):
        for _ in range(1000):
            client.send('{"type":"get_status"}')
        wait_until(lambda: not endpoint.server.feed.clients, "the flooder to be let go")
        while True:
            client.recv(timeout=10)
    assert endpoint.get("/livez").code == 200


def test_a_message_too_large_ends_the_connection(endpoint: Served) -> None:
    with endpoint.listen() as client:
        told(client)
        client.send("x" * 5000)
        with pytest.raises(ConnectionClosed) as caught:
            client.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


def test_too_many_clients_hear_so(endpoint: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeding, "MOST_CLIENTS", 1)
    with endpoint.listen() as first:
        told(first)
        with endpoint.listen() as second, pytest.raises(ConnectionClosed) as caught:
            second.recv(timeout=10)
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (1013, "1 clients are connected already")
        endpoint.publish(status("oven"))
        assert told(first)["type"] == "process_status_change"


def test_two_hundred_clients_hear_every_change(endpoint: Served) -> None:
    async def all_hear() -> None:
        url = f"ws://{LOOPBACK}:{endpoint.port}/ws/processes"
        clients = [await connect(url, compression=None, ping_interval=None) for _ in range(200)]
        first = await asyncio.gather(*(c.recv() for c in clients))
        assert {json.loads(text)["type"] for text in first} == {"process_status_update"}
        for n in range(5):
            endpoint.publish(status("oven"), status("press", restart_count=n + 3))
        for client in clients:
            numbers = [json.loads(await client.recv())["number"] for _ in range(1)]
            while numbers[-1] < 6:
                numbers.append(json.loads(await client.recv())["number"])
            assert numbers == sorted(set(numbers))
        await asyncio.gather(*(c.close() for c in clients))

    asyncio.run(asyncio.wait_for(all_hear(), 60))
