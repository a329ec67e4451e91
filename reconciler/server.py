"""The read-only endpoint: answers from the last published snapshot, never from the plant.

It runs in a thread of its own, so that a slow client delays no pass.
"""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.events import EventLog
from reconciler.logs import last_lines
from reconciler.publish import Publisher

logger = logging.getLogger("daq.server")

PATHS = (
    "/api/processes",
    "/api/processes/{name}",
    "/api/processes/{name}/logs",
    "/api/processes/stats/summary",
    "/api/events",
    "/livez",
    "/readyz",
)
LOG_LINES = 200
MOST_LINES = 10_000


class Problem(JSONResponse):
    """An RFC 9457 answer."""

    media_type = "application/problem+json"

    def __init__(self, status: int, title: str, detail: str, headers: Any = None) -> None:
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        super().__init__(body, status_code=status, headers=headers)


def build_app(publisher: Publisher, stopping: Callable[[], bool]) -> Starlette:
    """The ASGI application over a publisher's snapshots; `stopping` tells whether the loop is ending."""

    async def processes(request: Request) -> Response:
        found = list(publisher.snapshot.processes)
        for wanted in request.query_params.getlist("status"):
            found = [p for p in found if p["status"] == wanted]
        for text in request.query_params.getlist("label"):
            key, equals, value = text.partition("=")
            if not equals:
                return Problem(400, "Bad Request", f"{text!r} is no label; write ?label=KEY=VALUE")
            found = [p for p in found if p["labels"].get(key) == value]
        return _tagged(request, found)

    async def process(request: Request) -> Response:
        name = request.path_params["name"]
        status = publisher.snapshot.find(name)
        if status is None:
            return _unknown(name)
        return _tagged(request, status)

    async def summary(request: Request) -> Response:
        return _tagged(request, publisher.snapshot.document.get("summary", {}))

    def logs(request: Request) -> Response:
        name = request.path_params["name"]
        if publisher.snapshot.find(name) is None:
            return _unknown(name)
        tail = _number(request, "tail", LOG_LINES)
        if tail is None:
            return Problem(400, "Bad Request", "tail is no count of lines; write ?tail=200")
        try:
            text, _ = last_lines(publisher.state.log(name), min(tail, MOST_LINES))
        except FileNotFoundError:
            text = ""
        return Response(text, media_type="text/plain")

    def events(request: Request) -> Response:
        after = _number(request, "after", 0)
        if after is None:
            return Problem(400, "Bad Request", "after is no event's number; write ?after=0")
        return _tagged(request, EventLog(publisher.state).read(after))

    async def live(_: Request) -> Response:
        return Response("ok\n", media_type="text/plain")

    async def ready(_: Request) -> Response:
        if publisher.ready and not stopping():
            return Response("ok\n", media_type="text/plain")
        why = "the loop is stopping" if stopping() else "no pass has been published yet"
        return Problem(503, "Service Unavailable", why)

    return Starlette(
        routes=[
            Route("/api/processes", processes),
            Route("/api/processes/", processes),
            Route("/api/processes/stats/summary", summary),
            Route("/api/processes/{name}", process),
            Route("/api/processes/{name}/logs", logs),
            Route("/api/events", events),
            Route("/livez", live),
            Route("/readyz", ready),
        ],
        exception_handlers={HTTPException: _refuse(publisher)},
    )


def _unknown(name: str) -> Problem:
    return Problem(404, "Not Found", f"there is no collector or sink named {name!r}")


def _number(request: Request, key: str, standard: int) -> int | None:
    """A whole number of the query, >= 0; None where it is none."""
    text = request.query_params.get(key, str(standard))
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _refuse(publisher: Publisher) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            detail = f"this endpoint only reads; {_what_to_edit(publisher, request.url.path)}"
            return Problem(405, "Method Not Allowed", detail, error.headers)
        if error.status_code == 404:
            return Problem(404, "Not Found", f"there is no such path; there are: {', '.join(PATHS)}")
        return Problem(error.status_code, "Error", str(error.detail), error.headers)

    return refuse


def _what_to_edit(publisher: Publisher, path: str) -> str:
    """The manifest that a refused write was meant for, as far as its path tells."""
    named = next((s for s in map(publisher.snapshot.find, path.split("/")) if s is not None), None)
    if named is None or not named["manifest"] or not named["manifest"]["path"]:
        return "to change what runs, edit the manifests and let `daq apply` or the loop take them over"
    return f"to change {named['name']}, edit {named['manifest']['path']} (line {named['manifest']['line']})"


def _tagged(request: Request, value: Any) -> Response:
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


class Server:
    """The endpoint on one address, in its own thread."""

    def __init__(self, publisher: Publisher, host: str, port: int) -> None:
        """Bind at once. Raises OSError with the address in its message."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
        except OSError as error:
            self._socket.close()
            raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
        bound_host, bound_port = self._socket.getsockname()[:2]
        self.address = f"[{bound_host}]:{bound_port}" if ":" in bound_host else f"{bound_host}:{bound_port}"
        self._stopping = threading.Event()
        config = uvicorn.Config(
            build_app(publisher, self._stopping.is_set), log_level="warning", lifespan="off", access_log=False
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="endpoint", daemon=True
        )

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def announce_stop(self) -> None:
        """Answer /readyz with 503 from now on."""
        self._stopping.set()

    def close(self) -> None:
        """End the thread; open connections are cut after one second."""
        self._server.should_exit = True
        if self._thread.is_alive():  # never started where the loop could not start
            self._thread.join(timeout=1.0)
        self._server.force_exit = True
        self._socket.close()
