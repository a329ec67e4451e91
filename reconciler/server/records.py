"""Answers from what lies on disk: logs, values, events; and how processes ended.

They are plain functions, so that starlette runs them in its pool of threads: a slow disk holds up one client.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from collectors.contract import read_values
from reconciler.events import EventLog
from reconciler.logs import last_lines
from reconciler.model import History
from reconciler.publish import Status
from reconciler.server.problems import ProblemError, unknown
from reconciler.server.views import Views, answer
from reconciler.status import terminations as ends

LOG_LINES = 200
MOST_LINES = 10_000
WAIT_FOR_VALUES_S = 2.5


def logs(views: Views, request: Request) -> Response:
    """The last lines that a collector or sender wrote."""
    name = _known(views, request)["name"]
    tail = _count(request, "tail", LOG_LINES)
    try:
        text, _ = last_lines(views.state.log(name), min(tail, MOST_LINES))
    except FileNotFoundError:
        text = ""
    return Response(text, media_type="text/plain")


def values(views: Views, request: Request) -> Response:
    """The newest value of each tag of a collector, as new as it tells within seconds; of a stopped one the last."""
    status = _known(views, request)
    answers = status["pid"] is not None and bool(
        status["devices"]
    )  # an exec collector or a sender never does
    found = read_values(views.state, status["name"], WAIT_FOR_VALUES_S if answers else 0.0)
    return answer(request, found["values"] if found else [])


def events(views: Views, request: Request) -> Response:
    """What happened, oldest first; each event has a number, one higher than that before."""
    return answer(request, EventLog(views.state).read(_count(request, "after", 0)))


def terminations(views: Views, request: Request) -> Response:
    """How the last processes of a collector or sink ended, newest first."""
    name = _known(views, request)["name"]
    return answer(request, ends(views.snapshot.histories.get(name, History())))


def _known(views: Views, request: Request) -> Status:
    """The status object of the name in the path: only names of the snapshot become parts of file names."""
    name: str = request.path_params["name"]
    status = views.snapshot.find(name)
    if status is None:
        raise unknown(name)
    return status


def _count(request: Request, key: str, standard: int) -> int:
    """A whole number of the query, >= 0."""
    text = request.query_params.get(key, str(standard))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ProblemError(400, f"{text!r} is no whole number; write ?{key}={standard}")
    return int(text)
