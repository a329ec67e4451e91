"""Asking InfluxDB 2.x what it holds. No such server was to be had: its answers are scripted as its API documents
them, and its makers' own checker says whether it would take the questions.
"""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import SpecFile, StateDir
from collectors.sinks import Sink, SinkError, open_sink
from tests.programs import npm_package, program
from tests.scripted import Answer, Scripted, scripted

VERSION = {"X-Influxdb-Build": "OSS", "X-Influxdb-Version": "v2.7.12"}
ANNOTATED = ["#group,false,false,false", "#datatype,string,long,long", "#default,_result,,",
             ",result,table,_value", ",,0,1234", "", ""]  # fmt: skip
BARE = [",result,table,_value", ",_result,0,1234", "", ""]
NOTHING: list[str] = ["", ""]
FAILED = ["#datatype,string,long", "#group,true,true", "#default,,", ",error,reference",
          ",runtime error: panic: context deadline exceeded,897", ""]  # fmt: skip
BUCKETS = {"buckets": [{"name": "b", "retentionRules": [{"type": "expire", "everySeconds": 3600}]}]}


def opened(state: StateDir, server: Scripted, bucket: str = "b") -> Sink:
    state.root.mkdir(exist_ok=True)
    (state.root / "token").write_text("secret")
    spec = {"type": "influxdb", "url": server.url, "bucket": bucket, "org": "o", "token": {"file": "token"}}
    return open_sink(SpecFile("Sink", "plant", "d1", spec, directory=str(state.root)), state)


def answering(*rows: str, status: int = 200) -> Answer:
    return status, VERSION, "\r\n".join(rows)


@pytest.mark.parametrize(("rows", "count"), [(ANNOTATED, 1234), (BARE, 1234), (NOTHING, 0)])
def test_the_count_is_read_from_a_table_with_and_without_annotations(
    state: StateDir, rows: list[str], count: int
) -> None:
    with scripted() as server:
        server.script = lambda *_: answering(*rows)
        assert opened(state, server).count("press", 1, 2) == count


def test_an_error_in_the_middle_of_an_answer_is_told_in_the_servers_words(state: StateDir) -> None:
    with scripted() as server:
        server.script = lambda *_: answering(*FAILED)
        with pytest.raises(SinkError, match="the server answered: runtime error: panic: context deadline"):
            opened(state, server).count("press", 1, 2)


def test_a_refusal_is_told_without_the_token(state: StateDir) -> None:
    with scripted() as server:
        server.script = lambda *_: answering("unauthorized: secret is wrong", status=401)
        with pytest.raises(SinkError, match=r"answered 401: unauthorized: \*\*\* is wrong"):
            opened(state, server).count("press", 1, 2)


def test_the_bucket_says_how_long_it_keeps(state: StateDir) -> None:
    with scripted() as server:
        server.script = lambda *_: answering(json.dumps(BUCKETS))
        assert time.time_ns() - opened(state, server).kept_since() == pytest.approx(3600e9, abs=60e9)


def test_what_is_asked_is_flux_whatever_the_bucket_is_called(state: StateDir) -> None:
    asked: list[str] = []

    def script(_: int, body: str, headers: Any) -> Answer:
        asked.append(body)
        assert headers["Authorization"] == "Token secret"
        return answering(*ANNOTATED)

    with scripted() as server:
        server.script = script
        for bucket in ("b", "iot data", "数据", 'a "b" \\ c', "a${b}", "/.*/"):
            opened(state, server, bucket).count("press-1", 1, 2)
    assert len(asked) == 6
    assert all('r.collector == "press-1"' in question for question in asked)
    wrong = ['from(bucket: "\\u6570") |> range(start: -1h)', 'from(bucket: "b") |> rage(start: -1h)']
    assert is_flux([*asked, *wrong]) == [True] * 6 + [False] * 2


def is_flux(queries: list[str]) -> list[bool]:
    modules = npm_package("@influxdata/flux-lsp-browser", "0.8.40")
    checker = str(Path(__file__).with_name("check_flux.js"))
    argv = [program("node"), checker, str(modules.parent), json.dumps(queries)]
    found: list[bool] = json.loads(subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout)
    return found
