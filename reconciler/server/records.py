"""Answers from what lies on disk: logs, values, events; and how processes ended.

They are plain functions, so that starlette runs them in its pool of threads: a slow disk holds up one client.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from reconciler.events import EventLog
from reconciler.logs import last_lines
from reconciler.model import History
from reconciler.server.problems import ProblemError, unknown
from reconciler.server.views import Views, answer
from reconciler.status import terminations as ends

LOG_LINES = 200
MOST_LINES = 10_000


def logs(views: Views, request: Request) -> Response:
    """The last lines that a collector or sender wrote."""
    name = _known(views, request)
    tail = _count(request, "tail", LOG_LINES)
    try:
        text, _ = last_lines(views.state.log(name), min(tail, MOST_LINES))
    except FileNotFoundError:
        text = ""
    return Response(text, media_type="text/plain")


def events(views: Views, request: Request) -> Response:
    """What happened, oldest first; each event has a number, one higher than that before."""
    return answer(request, EventLog(views.state).read(_count(request, "after", 0)))


def terminations(views: Views, request: Request) -> Response:
    """How the last processes of a collector or sink ended, newest first."""
    name = _known(views, request)
    return answer(request, ends(views.snapshot.histories.get(name, History())))


def _known(views: Views, request: Request) -> str:
    """The name in the path, which must be one of the snapshot: so no path leads out of a directory."""
    name: str = request.path_params["name"]
    if views.snapshot.find(name) is None:
        raise unknown(name)
    return name


def _count(request: Request, key: str, standard: int) -> int:
    """A whole number of the query, >= 0."""
    text = request.query_params.get(key, str(standard))
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ProblemError(400, f"{text!r} is no whole number; write ?{key}={standard}")
    return int(text)
