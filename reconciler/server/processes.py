"""Answers about what runs: all status objects, one of them, and the figures over all."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from reconciler import diff as differences
from reconciler.server.problems import ProblemError, unknown
from reconciler.server.views import Views, answer, answer_tagged, tagged


async def processes(views: Views, request: Request) -> Response:
    """The status objects of all collectors and sinks, in name order."""
    view = views.newest
    statuses = request.query_params.getlist("status")
    labels = [_label(text) for text in request.query_params.getlist("label")]
    if not statuses and not labels:
        return answer_tagged(request, *view.all_tagged)
    chosen = (
        p["name"]
        for p in view.snapshot.processes
        if (not statuses or p["status"] in statuses)
        and all(p["labels"].get(key) == value for key, value in labels)
    )
    return answer_tagged(request, *tagged(view.list_of(chosen)))


async def process(views: Views, request: Request) -> Response:
    """The status object of one collector or sink."""
    name = request.path_params["name"]
    text = views.newest.texts.get(name)
    if text is None:
        raise unknown(name)
    return answer_tagged(request, *tagged(text))


async def summary(views: Views, request: Request) -> Response:
    """Figures over all collectors."""
    return answer(request, {**views.snapshot.document["summary"], "heartbeat_at": views.heartbeat_at})


async def diff(views: Views, request: Request) -> Response:
    """What the next pass would do, as `daq diff -o json` says it."""
    snapshot = views.snapshot
    return answer(request, differences.as_json(snapshot.plan, snapshot.desired))


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ProblemError(400, f"{text!r} is no label; write ?label=KEY=VALUE")
    return key, value
