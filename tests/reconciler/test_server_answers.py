"""What the endpoint answers, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import write_json
from reconciler.events import EventLog
from reconciler.model import Action, Change, History, Plan, Step, Termination
from reconciler.news import News
from tests.reconciler.serving import Served, served, sink, status


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Served]:
    statuses = status("oven", status="stopped", labels={}), sink("plant"), status("press")
    with served(tmp_path, *statuses) as endpoint:
        yield endpoint


def names(endpoint: Served, query: str) -> list[str]:
    return [p["name"] for p in endpoint.get(f"/api/processes{query}").json]


def test_all_status_objects_with_and_without_a_final_slash(endpoint: Served) -> None:
    found = endpoint.get("/api/processes")
    assert found.json == list(endpoint.publisher.snapshot.processes)
    assert endpoint.get("/api/processes/").body == found.body


def test_filters_by_label_and_status(endpoint: Served) -> None:
    assert names(endpoint, "?label=line=1") == ["plant", "press"]
    assert names(endpoint, "?label=line=1&status=running&status=stopped") == ["plant", "press"]
    assert names(endpoint, "?status=stopped") == ["oven"]
    assert names(endpoint, "?label=line=2") == []
    refused = endpoint.get("/api/processes?label=line")
    assert (refused.code, refused.json["detail"]) == (400, "'line' is no label; write ?label=KEY=VALUE")


def test_a_client_that_has_it_gets_304_until_something_changes(endpoint: Served) -> None:
    for path in ("/api/processes", "/api/processes?status=running", "/api/processes/press", "/api/diff"):
        first = endpoint.get(path)
        again = endpoint.get(path, If_None_Match=f'W/"x", {first.headers["etag"]}')
        assert (again.code, again.body) == (304, b"")
    etag = endpoint.get("/api/processes/press").headers["etag"]
    endpoint.publish(status("press", restart_count=3))
    assert endpoint.get("/api/processes/press", If_None_Match=etag).json["restart_count"] == 3


def test_one_status_object_or_a_problem(endpoint: Served) -> None:
    assert endpoint.get("/api/processes/press").json == status("press")
    missing = endpoint.get("/api/processes/nobody")
    assert (missing.code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert missing.json["status"] == 404
    assert "'nobody'" in missing.json["detail"]


def test_every_answer_tells_when_the_reconciler_made_its_last_pass(endpoint: Served) -> None:
    for path in ("/api/processes", "/api/processes/nobody", "/livez", "/", "/nowhere", "/metrics"):
        assert endpoint.get(path).headers["daq-heartbeat-at"] == "1000.500"
    endpoint.publish(heartbeat_at=2000.0)
    assert endpoint.get("/livez").headers["daq-heartbeat-at"] == "2000.000"
    assert endpoint.get("/api/processes/stats/summary").json["heartbeat_at"] == 2000.0


def test_writing_is_refused_with_the_manifest_to_edit(endpoint: Served) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"):
        refused = endpoint.get("/api/processes/press/logs", method)
        assert (refused.code, refused.headers["allow"]) == (405, "GET, HEAD")
        assert "to change press, edit press.yaml (line 7)" in refused.json["detail"]
    assert "edit the manifests" in endpoint.get("/api/processes", "POST").json["detail"]


def test_head_is_get_without_a_body(endpoint: Served) -> None:
    head, whole = endpoint.get("/api/processes", "HEAD"), endpoint.get("/api/processes")
    assert (head.code, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.body))


def test_the_tail_of_a_log(endpoint: Served) -> None:
    path = endpoint.state.log("press")
    path.parent.mkdir()
    path.write_text("".join(f"line {n}\n" for n in range(1000)))
    assert endpoint.get("/api/processes/press/logs").body.count(b"\n") == 200
    last = endpoint.get("/api/processes/press/logs?tail=2")
    assert (last.body, last.headers["content-type"]) == (
        b"line 998\nline 999\n",
        "text/plain; charset=utf-8",
    )
    assert endpoint.get("/api/processes/oven/logs").body == b""
    assert endpoint.get("/api/processes/press/logs?tail=-1").code == 400


@pytest.mark.parametrize(
    "name", ["..%2f..%2fstatus", "%2e%2e", "..", "press%00", "press%2f..%2foven", "%2fetc%2fpasswd"]
)
def test_no_path_leads_out_of_the_log_directory(endpoint: Served, name: str) -> None:
    endpoint.state.log("press").parent.mkdir()
    (endpoint.state.root / "status.log").write_text("secret")
    answer = endpoint.get(f"/api/processes/{name}/logs")
    assert answer.code == 404
    assert b"secret" not in answer.body


def test_events_are_numbered_and_can_be_followed(endpoint: Served) -> None:
    EventLog(endpoint.state).append(
        [News("Started", "new", "press"), News("Ended", "signal 9", "press")], 4.0
    )
    first, second = endpoint.get("/api/events").json
    assert (first["number"], second["number"], second["reason"]) == (1, 2, "Ended")
    assert endpoint.get("/api/events?after=1").json == [second]
    assert endpoint.get("/api/events?after=x").code == 400


def test_newest_values_as_the_collector_tells_them(endpoint: Served) -> None:
    assert endpoint.get("/api/processes/press/values").json == []
    value = {
        "device": "press",
        "tag": "t",
        "value": 1.5,
        "unit": "°C",
        "quality": "good",
        "at": 5.0,
        "raw": "",
    }
    write_json(endpoint.state.values("press"), {"at": 5.0, "values": [value]})
    assert endpoint.get("/api/processes/press/values").json == [value]


def test_terminations_newest_first(endpoint: Served) -> None:
    def end(at: float) -> Termination:
        return Termination(
            "press", f"i{at}", "1-a", 1, None, "wait", at=at, ended=at, lived_s=2.0, tail="why"
        )

    endpoint.publish(status("press"), histories={"press": History(terminations=(end(1.0), end(2.0)))})
    newest, oldest = endpoint.get("/api/processes/press/terminations").json
    assert (newest["at"], oldest["at"]) == (2.0, 1.0)
    assert newest | {"at": 0} == {
        "exit_code": 1,
        "signal": None,
        "reason": "Exited",
        "at": 0,
        "observed_by": "wait",
        "lived_s": 2.0,
        "tail": "why",
    }


def test_pending_actions_as_diff_says_them(endpoint: Served) -> None:
    change = Change("spec.interval", "1s", "2s", "restart")
    step = Step("press", "Collector", Action.STOP, "restart", "DigestChanged", "changed", changes=(change,))
    endpoint.publish(status("press"), plan=Plan((step,)))
    (told,) = endpoint.get("/api/diff").json["steps"]
    assert (told["action"], told["verdict"]) == ("stop", "restart")
    assert told["changes"] == [{"field": "spec.interval", "before": "1s", "after": "2s", "effect": "restart"}]


def test_before_the_first_pass_nothing_is_claimed(tmp_path: Path) -> None:
    with served(tmp_path) as endpoint:
        for path in ("/api/processes", "/api/processes/stats/summary", "/api/diff", "/readyz", "/version"):
            assert endpoint.get(path).code == 503
        assert endpoint.get("/livez").body == b"ok\n"
        endpoint.publish()
        assert endpoint.get("/readyz").body == b"ok\n"
        assert endpoint.get("/api/processes").json == []
        endpoint.server.announce_stop()
        assert endpoint.get("/readyz").json["detail"] == "the loop is stopping"


def test_without_a_built_page_it_says_how_to_build_one(endpoint: Served) -> None:
    page = endpoint.get("/")
    assert page.code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"


def test_an_unknown_path_is_a_problem_that_lists_all(endpoint: Served) -> None:
    missing = endpoint.get("/api/nix")
    assert (missing.code, missing.headers["content-type"]) == (404, "application/problem+json")
    assert "/api/processes/{name}/logs" in missing.json["detail"]
    assert endpoint.get("/ws/processes").code == 426
