"""The ASGI application: the operations, the WebSocket and the page behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp

from reconciler.server.feed import PATH as FEED
from reconciler.server.feed import Feed
from reconciler.server.guard import Guard
from reconciler.server.metrics import Metrics
from reconciler.server.openapi import describe
from reconciler.server.operations import OPERATIONS
from reconciler.server.page import page_routes
from reconciler.server.problems import Problem, ProblemError
from reconciler.server.views import Views, answer


def build_app(views: Views, feed: Feed, guard: Guard, metrics: Metrics) -> ASGIApp:
    """All of the endpoint."""

    @asynccontextmanager
    async def feeding(_: Starlette) -> AsyncIterator[None]:
        async with feed.running():
            yield

    async def openapi(request: Request) -> Response:
        return answer(request, describe(OPERATIONS))

    async def plain(_: Request) -> Response:
        return Problem(426, "this path speaks WebSocket only", {"Upgrade": "websocket"})

    paths = [(path, o.handler) for o in OPERATIONS for path in (o.path, f"{o.path}/")]
    app = Starlette(
        routes=[
            *(Route(path, partial(handler, views)) for path, handler in paths),
            Route("/metrics", metrics.answer),
            Route("/openapi.json", openapi),
            Route(FEED, plain),
            WebSocketRoute(FEED, feed.serve),
            *page_routes(),
        ],
        exception_handlers={ProblemError: _refuse, HTTPException: _not_found, Exception: _failed},
        lifespan=feeding,
    )
    return guard.around(app)


async def _refuse(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return Problem(error.status, error.detail)


async def _not_found(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code != 404:
        return Problem(error.status_code, error.detail, error.headers)
    paths = ", ".join([*(o.path for o in OPERATIONS), FEED, "/metrics", "/openapi.json"])
    return Problem(404, f"there is no such path; there are: {paths}")


async def _failed(_: Request, __: Exception) -> Response:
    return Problem(500, "cannot answer: a bug, or the disk failed; the output of daq run says more")
