from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from collectors.contract import Points, SpecFile, StateDir
from collectors.lines import Value, field_key, field_value, series_key
from collectors.outbox import Outbox
from collectors.sinks import Result, SinkError
from collectors.sinks.influxdb import open_sink, read_answer
from tests.collectors.sending import held, points, send_until, settled, sink
from tests.databases import Influx, Victoria, influxd
from tests.waiting import wait_until

NOW = time.time_ns()
VALUES: dict[str, Value] = {
    "f": 23.4,
    "whole": 2.0,
    "tiny": 5e-324,
    "huge": sys.float_info.max,
    "third": 1 / 3,
    "i": 2**63 - 1,
    "least": -(2**63),
    "yes": True,
    "no": False,
    "s": 'a "b", c\\ = 压机\n\\n',
    "empty": "",
    "with, comma = and space": 1,
}
TAGS = {"collector": "c 1", "device": "d,=1", "hall": "A\\B", "ort": "Köln"}


def line(measurement: str, tags: dict[str, str], fields: dict[str, Value], ts_ns: int) -> str:
    pairs = ",".join(f"{field_key(k)}={field_value(v)}" for k, v in fields.items())
    return f"{series_key(measurement, tags)} {pairs} {ts_ns}"


def test_influxd_gives_back_every_value_with_its_type_and_nanosecond(state: StateDir, influx: Influx) -> None:
    influx.query("CREATE DATABASE faithful")
    spec = sink(type="influxdb", url=influx.url, database="faithful")
    with Outbox(state, "c") as outbox:
        outbox.append(line("press, 1", TAGS, VALUES, NOW).encode(), len(VALUES), ("plant",))
        send_until(spec, state, lambda: settled(state, "c", "plant"), "delivery")
    (row,) = influx.query('SELECT * FROM "press, 1"', "faithful")
    assert row == {"time": NOW, **TAGS, **VALUES}
    stored = {r["fieldKey"]: r["fieldType"] for r in influx.query("SHOW FIELD KEYS", "faithful")}
    names = {bool: "boolean", int: "integer", float: "float", str: "string"}
    assert stored == {k: names[type(v)] for k, v in VALUES.items()}


def test_a_newline_in_a_string_costs_victoria_metrics_no_other_field(
    state: StateDir, victoria: Victoria
) -> None:
    spec = sink(type="influxdb", url=victoria.url, bucket="b", org="o")
    with Outbox(state, "c") as outbox:
        text = line("newline", TAGS, {"s": "one\ntwo", "n": 5}, NOW)
        outbox.append(text.encode(), 2, ("plant",))
        send_until(spec, state, lambda: settled(state, "c", "plant"), "delivery")
    wait_until(lambda: victoria.export('{__name__="newline_n"}'), "the number beside the text")


def test_victoria_metrics_gives_back_equal_numbers_at_milliseconds(
    state: StateDir, victoria: Victoria
) -> None:
    spec = sink(type="influxdb", url=victoria.url, bucket="b", org="o")
    wanted = {NOW // 10**6 + n: n / 10 for n in range(100)}
    with Outbox(state, "c") as outbox:
        for at, value in wanted.items():
            outbox.append(line("vm", TAGS, {"f": value, "yes": True}, at * 10**6).encode(), 2, ("plant",))
        send_until(spec, state, lambda: settled(state, "c", "plant"), "delivery")
    names = '{__name__=~"vm_.*",device="d,=1"}'
    found = wait_until(lambda: (f := victoria.export(names)) and len(f["vm_f"]) == 100 and f, "all samples")
    assert found == {"vm_f": wanted, "vm_yes": dict.fromkeys(wanted, 1)}


def test_nothing_is_missing_after_the_server_was_down(state: StateDir, tmp_path: Path) -> None:
    with influxd(tmp_path) as server, Outbox(state, "c") as outbox:
        server.query("CREATE DATABASE plant")
        spec = sink(type="influxdb", url=server.url, database="plant", batch={"lines": 50, "maxAge": "10ms"})
        sent = 0

        def acquire() -> None:
            nonlocal sent
            made = [
                line("m", {"collector": "c"}, {"a": n, "b": n / 2}, NOW + n) for n in range(sent, sent + 20)
            ]
            outbox.append("\n".join(made).encode(), 40, ("plant",))
            outbox.maintain(1 << 40, 1e9)
            sent += 20

        phase = "before"

        def done() -> bool:
            nonlocal phase
            counts = outbox.counts().get("plant", Points())
            assert counts.acquired == counts.delivered + counts.queued
            if phase == "before":
                acquire()
                if counts.delivered > 100:
                    server.stop()
                    phase = "down"
            elif phase == "down":
                acquire()
                if held(state, "plant") == "Unreachable" and counts.queued > 1000:
                    server.start()
                    phase = "after"
            return phase == "after" and held(state, "plant") is None and settled(state, "c", "plant")

        send_until(spec, state, done, "delivery after the outage")
        assert points(state, "c", "plant") == Points(2 * sent, delivered=2 * sent)
        assert server.count("plant", "m") == 2 * sent


def test_a_field_of_another_type_is_counted_as_rejected_and_the_rest_is_stored(
    state: StateDir, influx: Influx
) -> None:
    influx.query("CREATE DATABASE conflict")
    spec = sink(type="influxdb", url=influx.url, database="conflict")
    with Outbox(state, "c") as outbox:
        outbox.append(line("m", {}, {"a": 1.0}, NOW).encode(), 1, ("plant",))
        send_until(spec, state, lambda: settled(state, "c", "plant"), "the first")
        made = [line("m", {}, {"a": "x" if n == 3 else float(n)}, NOW + n) for n in range(1, 11)]
        outbox.append("\n".join(made).encode(), 10, ("plant",))
        send_until(spec, state, lambda: settled(state, "c", "plant"), "the second")
        assert outbox.counts() == {"plant": Points(11, delivered=10, rejected=1)}
    assert influx.count("conflict", "m") == 10


def test_a_line_influxd_cannot_parse_is_a_dead_letter(state: StateDir, influx: Influx) -> None:
    influx.query("CREATE DATABASE poison")
    spec = sink(type="influxdb", url=influx.url, database="poison")
    with Outbox(state, "c") as outbox:
        made = [line("m", {}, {"a": n}, NOW + n) for n in range(20)]
        outbox.append("\n".join([*made[:7], "m a= 1", *made[7:]]).encode(), 21, ("plant",))
        send_until(spec, state, lambda: settled(state, "c", "plant"), "delivery")
        assert outbox.counts() == {"plant": Points(21, delivered=20, rejected=1)}
    assert influx.count("poison", "m") == 20
    assert '"line": "m a= 1"' in state.dead_letters("plant").read_text()


def test_a_database_that_does_not_exist_holds(state: StateDir, influx: Influx) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(b"m a=1 1", 1, ("plant",))
    spec = sink(type="influxdb", url=influx.url, database="nowhere")
    send_until(spec, state, lambda: held(state, "plant") == "DatabaseNotFound", "the alarm")
    assert points(state, "c", "plant") == Points(1, queued=1)


@pytest.mark.parametrize(
    ("status", "retry_after", "text", "answer"),
    [
        (
            400,
            None,
            '{"error":"partial write: unable to parse \'x\': missing fields dropped=0"}',
            "malformed",
        ),
        (400, None, "unable to parse 'x': missing field value", "malformed"),
        (400, None, "database is required", "hold"),
        (422, None, "unprocessable", "malformed"),
        (401, None, "", "hold"),
        (403, None, "", "hold"),
        (404, None, "", "hold"),
        (301, None, "", "hold"),
        (413, None, "", "too large"),
        (429, "7", "", "retry"),
        (503, "Thu, 01 Jan 1970 00:00:00 GMT", "", "retry"),
        (503, "soon", "", "retry"),
        (500, None, "", "failing"),
        (504, None, "", "retry"),
    ],
)
def test_what_each_answer_asks_for(status: int, retry_after: str | None, text: str, answer: str) -> None:
    with pytest.raises(SinkError) as refused:
        read_answer(status, retry_after, text)
    assert refused.value.answer == answer
    assert refused.value.retry_after_s == (7 if retry_after == "7" else 0)


@pytest.mark.parametrize("status", [400, 422])
def test_lines_the_server_dropped_are_counted(status: int) -> None:
    assert read_answer(status, None, "partial write: field type conflict dropped=3").rejected_lines == 3


def test_success_is_success() -> None:
    assert read_answer(204, None, "") == Result()


def test_a_sink_without_bucket_and_database_is_a_wrong_spec(state: StateDir) -> None:
    with pytest.raises(ValueError, match="needs a bucket"):
        open_sink(SpecFile("Sink", "plant", "1-a", {"type": "influxdb", "url": "http://127.0.0.1:1"}), state)


def test_a_secret_file_is_looked_for_beside_the_manifest(tmp_path: Path, state: StateDir) -> None:
    (tmp_path / "token").write_text("from-the-file\n")
    spec = {"type": "influxdb", "url": "http://127.0.0.1:1", "bucket": "b", "token": {"file": "token"}}
    with pytest.raises(SinkError) as found:
        open_sink(SpecFile("Sink", "plant", "1-a", spec, directory=str(tmp_path)), state).write(b"m v=1 1")
    assert found.value.reason == "Unreachable"


def test_influxd_counts_what_it_holds_of_a_collector_in_a_span(state: StateDir, influx: Influx) -> None:
    influx.query("CREATE DATABASE counted")
    influx.query('CREATE RETENTION POLICY "a b" ON counted DURATION 90d REPLICATION 1')
    for policy in ({}, {"retentionPolicy": "a b"}):
        sink = open_sink(
            SpecFile(
                "Sink",
                "plant",
                "d1",
                {"type": "influxdb", "url": influx.url, "database": "counted", **policy},
            ),
            state,
        )
        made = [
            line(f"m{n % 2}", {"collector": c}, {"a": n, "s": "x"}, NOW + n)
            for n in range(9)
            for c in ("c-1_x", "d")
        ]
        sink.write("\n".join(made).encode())
        assert sink.count("c-1_x", NOW, NOW + 9) == 18
        assert sink.count("d", NOW + 1, NOW + 3) == 4
        assert sink.count("nobody", NOW, NOW + 9) == 0
        since = time.time_ns() - 90 * 86400 * 10**9 if policy else 0
        assert sink.kept_since() == pytest.approx(since, abs=600 * 10**9)
