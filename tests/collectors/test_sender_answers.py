"""Answers that real servers here never give: a scripted HTTP server, a real sender."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from collectors.contract import Points, SpecFile, StateDir
from collectors.letters import read_letters
from collectors.outbox import Outbox
from tests.collectors.sending import held, points, send_until, settled, sink
from tests.scripted import Answer, Scripted, scripted
from tests.waiting import wait_until


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


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


def test_a_refusal_of_the_old_secret_that_comes_late_does_not_hold_the_new_one(
    state: StateDir, server: Scripted
) -> None:
    lines = [*fill(state, "c", count=5), *fill(state, "c")]
    secret = state.root / "token"
    secret.write_text("old")
    spec = sink(type="influxdb", url=server.url, bucket="b", org="o", token={"file": str(secret)},
                batch={"lines": 1, "maxAge": "10ms"})  # fmt: skip

    def script(number: int, _: str, headers: Any) -> Answer | None:
        if headers["Authorization"] == "Token new":
            return None
        if number == 0:
            wait_until(lambda: points(state, "c", "plant").delivered, "the other one")
        return 401, {}, "unauthorized"

    def done() -> bool:
        if held(state, "plant") == "Unauthorized":
            secret.write_text("new")
        return settled(state, "c", "plant")

    server.script = script
    send_until(spec, state, done, "delivery of both with the new token")
    assert server.stored == set(lines)


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


def test_a_line_that_brings_the_server_down_is_found_after_five_attempts(
    state: StateDir, server: Scripted, spec: SpecFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.delivery.FIRST_DELAY_S", 0.01)
    lines = fill(state, "c1", "c2")
    seen: Counter[int] = Counter()

    def script(_: int, body: str, __: object) -> Answer | None:
        seen[body.count("\n")] += 1
        return (500, {}, "panic: index out of range") if "a=7i 7\n" in body + "\n" else None

    server.script = script
    send_until(
        spec, state, lambda: settled(state, "c1", "plant") and settled(state, "c2", "plant"), "delivery"
    )
    bad = {"m,collector=c1 a=7i 7", "m,collector=c2 a=7i 7"}
    assert seen[199] == 5
    assert server.stored == set(lines) - bad
    letters = [json.loads(text) for text in state.dead_letters("plant").read_text().splitlines()]
    assert {letter["line"] for letter in letters} == bad
    assert all("panic" in letter["message"] for letter in letters)
    assert state.dead_letters("plant").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "answer",
    [(500, {}, "down"), (400, {}, "unable to parse"), (422, {}, "no"), (413, {}, "too large")],
    ids=lambda a: str(a[0]),
)
def test_a_server_that_refuses_everything_condemns_no_line(
    state: StateDir, server: Scripted, spec: SpecFile, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr("collectors.delivery.FIRST_DELAY_S", 0.01)
    monkeypatch.setattr("collectors.delivery.MAX_DELAY_S", 0.02)
    lines = fill(state, "c1", "c2")
    server.script = lambda *_: answer
    rounds = 0

    def repaired() -> bool:
        nonlocal rounds
        if server.requests > 100 and held(state, "plant"):
            rounds += 1
            server.script = lambda *_: None
        return settled(state, "c1", "plant") and settled(state, "c2", "plant")

    send_until(spec, state, repaired, "delivery after the repair")
    assert rounds
    assert server.stored == set(lines)
    assert points(state, "c1", "plant") == Points(100, delivered=100)
    assert not state.dead_letters("plant").exists()


def test_a_batch_that_is_tried_again_and_again_holds_up_no_other(
    state: StateDir, server: Scripted, spec: SpecFile
) -> None:
    fill(state, "c1")
    stuck = "m,collector=c1 a=7i 7"

    def script(_: int, body: str, __: object) -> Answer | None:
        if stuck in body.splitlines():
            more()
            return 500, {}, "down"
        return None

    outbox = Outbox(state, "c2")
    sent = 0

    def more() -> None:
        nonlocal sent
        sent += 1
        outbox.append(f"m,collector=c2 a={sent}i {sent}".encode(), 1, ("plant",))

    server.script = script
    send_until(
        spec,
        state,
        lambda: sent >= 2 and f"m,collector=c2 a={sent}i {sent}" in server.stored,
        "the others",
    )
    outbox.close()
    assert stuck not in server.stored


def test_lines_refused_in_part_are_found_and_counted_exactly(
    state: StateDir, server: Scripted, spec: SpecFile
) -> None:
    with Outbox(state, "c") as outbox:
        made = [f"m,collector=c{',x=1' if n % 3 else ''} a={n},b={n} {n}" for n in range(60)]
        made += [f"n,collector=c a={n} {n}" for n in range(40)]
        outbox.append("\n".join(made).encode(), 160, ("plant",))
    bad = {line for line in made if line.startswith("m,collector=c,x=1") and line[-1] == "4"}

    def script(_: int, body: str, __: object) -> Answer | None:
        lines = set(body.splitlines())
        server.stored.update(lines - bad)
        dropped = len(lines & bad)
        return (422, {}, f"partial write: out of retention dropped={dropped}") if dropped else None

    server.script = script
    send_until(spec, state, lambda: settled(state, "c", "plant"), "delivery")
    assert server.stored == set(made) - bad
    assert points(state, "c", "plant") == Points(160, delivered=160 - 2 * len(bad), rejected=2 * len(bad))
    assert {letter.line for letter in read_letters(state.dead_letters("plant"))} == bad


def test_a_silent_server_is_given_up_after_the_timeout(
    state: StateDir, server: Scripted, spec: SpecFile
) -> None:
    lines = fill(state, "c")
    over = threading.Event()

    def script(number: int, *_: object) -> Answer | None:
        if not number:
            over.wait(10)
        return None

    server.script = script
    impatient = replace(spec, spec={**spec.spec, "timeout": "100ms"})
    send_until(impatient, state, lambda: settled(state, "c", "plant"), "delivery at the second attempt")
    over.set()
    assert server.requests >= 2
    assert server.stored == set(lines)
