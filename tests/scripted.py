"""A scripted HTTP server between a sender and nothing, or a real database: it answers what a test says."""

from __future__ import annotations

import gzip
import http.client
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[int, dict[str, str], str]
Script = Callable[[int, str, Any], Answer | None]
"""Number of the request from 0, body, headers -> status, headers, text; None to store, or pass on, and say so."""

LOST: Answer = (0, {}, "")
"""To store or pass on, and hang up without an answer."""


class Scripted(ThreadingHTTPServer):
    """Answers as `script` says; remembers what it stored, or passes it on to `upstream`."""

    daemon_threads = True

    def __init__(self, upstream: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: Script = lambda *_: None
        self.upstream = upstream
        self.requests = 0
        self.stored: set[str] = set()
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}"

    def use_tls(self, certificate: Path, key: Path) -> None:
        """Speak https from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.scheme = "https"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A peer that went away in the middle is what tests do to it."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one segment an answer: no wait for a delayed acknowledgement
    server: Scripted

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"] or 0))
        packed = self.headers["Content-Encoding"] == "gzip"
        number, self.server.requests = self.server.requests, self.server.requests + 1
        answer = self.server.script(number, (gzip.decompress(raw) if packed else raw).decode(), self.headers)
        if answer in (None, LOST):
            said = self._pass_on(raw) if self.server.upstream else None
            if said is None:
                self.server.stored.update(gzip.decompress(raw).decode().splitlines())
            if answer == LOST:
                self.close_connection = True
                return
            answer = said
        status, headers, text = answer or (204, {}, "")
        data = text.encode()
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST  # noqa: N815  (the name is http.server's)

    def _pass_on(self, raw: bytes) -> Answer:
        upstream = urlsplit(self.server.upstream)
        connection = http.client.HTTPConnection(upstream.hostname or "", upstream.port, timeout=10)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
            connection.request("POST", self.path, raw, headers)
            answer = connection.getresponse()
            return answer.status, {}, answer.read().decode()
        except OSError as error:
            return 502, {}, str(error)
        finally:
            connection.close()

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def scripted(upstream: str = "", tls: tuple[Path, Path] | None = None) -> Iterator[Scripted]:
    """A running server."""
    with Scripted(upstream) as server:
        if tls:
            server.use_tls(*tls)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
