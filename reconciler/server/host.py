"""Answers about the reconciler itself: does it live, is it ready, which one is it, where do manifests come from."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from reconciler import __version__
from reconciler.server.problems import ProblemError
from reconciler.server.views import Views, answer


async def live(_: Views, __: Request) -> Response:
    """Whether the endpoint answers at all."""
    return Response("ok\n", media_type="text/plain")


async def ready(views: Views, _: Request) -> Response:
    """Whether a first pass was made and the loop is not ending."""
    if views.stopping():
        raise ProblemError(503, "the loop is stopping")
    views.expect_a_pass()
    return Response("ok\n", media_type="text/plain")


async def version(views: Views, request: Request) -> Response:
    """The version that runs, and on which machine."""
    return answer(request, {"version": __version__, "node": views.snapshot.document["reconciler"]["node"]})


async def state(views: Views, request: Request) -> Response:
    """status.json without its processes: the loop and its heartbeat, the commit in force, converged or not."""
    document = views.snapshot.document
    return answer(request, {key: value for key, value in document.items() if key != "processes"})
