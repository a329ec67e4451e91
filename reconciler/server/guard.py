"""Who is answered: the right host name, no foreign web page, the right token, reading only.

A browser sends whatever page it shows to our address: by DNS rebinding under a name of the attacker's (so ``Host`` is
checked), by a WebSocket from another site (so ``Origin`` is). Neither is open to a client that is no browser.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.server.address import Address, is_loopback
from reconciler.server.bearer import SUBPROTOCOL, Token
from reconciler.server.operations import OPERATIONS
from reconciler.server.pace import Pace
from reconciler.server.problems import Problem
from reconciler.server.views import Views

HEARTBEAT_HEADER = "Daq-Heartbeat-At"
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
OPEN_PATHS = frozenset({"/", *(o.path for o in OPERATIONS if o.open)})
ASSETS = "/assets/"


_PLACE = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


class Place(NamedTuple):
    """A host and, where it was said, a port."""

    host: str
    port: int | None


class Guard:
    """The rules for one address."""

    def __init__(self, address: Address, views: Views, token: Token | None, pace: Pace) -> None:
        name = socket.gethostname().lower()
        short = name.partition(".")[0]
        self._allowed = frozenset(h.lower() for h in address.allowed_hosts)
        self._names = self._allowed | {address.host.lower(), name, short, f"{short}.local"}
        self._names -= {"0.0.0.0", "::"}
        self._views = views
        self._token = token
        self._pace = pace

    def around(self, app: ASGIApp) -> ASGIApp:
        """`app`, reached only by what passes, each of its answers with the headers that all have."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] not in ("http", "websocket"):
                await app(scope, receive, send)
                return

            async def send_with_headers(message: Message) -> None:
                if message["type"].endswith("http.response.start"):
                    self._complete(MutableHeaders(scope=message))
                await send(message)

            problem = self._refusal(scope)
            await self._pace.turn()
            await (problem or app)(scope, receive, send_with_headers)

        return guarded

    def _refusal(self, scope: Scope) -> Problem | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        here = (scope.get("server") or ("", None))[0].removeprefix("::ffff:")
        if not self._is_ours(_place(host), here):
            return Problem(403, f"{host!r} is no name of this endpoint; daq run --allowed-host NAME adds one")
        if origin is not None and not self._is_same_site(origin, _place(host), here):
            return Problem(
                403, f"a page of {origin!r} may not read this endpoint; daq run --allowed-host NAME lets it"
            )
        if self._token and not _is_open(scope) and not self._token.is_in(scope, headers):
            return Problem(
                401,
                f"a token is needed: header `Authorization: Bearer TOKEN`, or the subprotocols `{SUBPROTOCOL}, TOKEN` "
                "on the WebSocket; it stands in the file of --api-token-file",
                {"WWW-Authenticate": 'Bearer realm="daq"'},
            )
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            detail = f"this endpoint only reads; {self._what_to_edit(scope['path'])}"
            return Problem(405, detail, {"Allow": "GET, HEAD"})
        return None

    def _is_ours(self, place: Place, here: str) -> bool:
        """Whether a place is this endpoint, which was reached at the address `here`."""
        return place.host in self._names or is_loopback(place.host) or place.host == here

    def _is_same_site(self, origin: str, host: Place, here: str) -> bool:
        """Whether a page of `origin` is one of ours: the same port, or a name that was allowed."""
        scheme, _, rest = origin.partition("://")
        place = _place(rest)
        is_ours = self._is_ours(place, here) and place.port == host.port
        return scheme in ("http", "https") and (is_ours or place.host in self._allowed)

    def _what_to_edit(self, path: str) -> str:
        """The manifest that a refused write was meant for, as far as its path tells."""
        found = map(self._views.published.find, path.split("/"))
        named = next((status for status in found if status is not None), None)
        if named is None or not named["manifest"] or not named["manifest"]["path"]:
            return "to change what runs, edit the manifests and let `daq apply` or the loop take them over"
        return (
            f"to change {named['name']}, edit {named['manifest']['path']} (line {named['manifest']['line']})"
        )

    def _complete(self, headers: MutableHeaders) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers[name] = value
        headers.setdefault("Cache-Control", "no-store")
        if self._views.heartbeat_at is not None:
            headers[HEARTBEAT_HEADER] = f"{self._views.heartbeat_at:.3f}"


def _is_open(scope: Scope) -> bool:
    """Whether a path tells nothing of the plant."""
    path: str = scope["path"]
    return scope["type"] == "http" and ((path.rstrip("/") or "/") in OPEN_PATHS or path.startswith(ASSETS))


def _place(text: str) -> Place:
    """What ``NAME:PORT`` or ``[ADDRESS]:PORT`` says; an empty name where it is neither."""
    found = _PLACE.fullmatch(text)
    if found is None:
        return Place("", None)
    host, port = found.groups()
    return Place(host.strip("[]").lower().rstrip("."), int(port) if port else None)
