"""What answers are made from: the newest snapshot, each part of it serialised at most once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from collectors.contract import StateDir
from reconciler.publish import Publisher, Snapshot
from reconciler.server.problems import ProblemError

encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class View:
    """One snapshot as text."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """Each status object as JSON, by name."""
        return {s["name"]: encode(s) for s in self.snapshot.processes}

    def list_of(self, names: Iterable[str]) -> str:
        """Those status objects as a JSON array."""
        return f"[{','.join(self.texts[name] for name in names)}]"

    @cached_property
    def all(self) -> str:
        """All of them as a JSON array."""
        return self.list_of(self.texts)

    @cached_property
    def all_tagged(self) -> tuple[bytes, str]:
        """The same in bytes, with its ETag."""
        return tagged(self.all)


class Views:
    """The newest view, and the files beside it. Used in the endpoint's thread only."""

    def __init__(self, publisher: Publisher, stopping: Callable[[], bool]) -> None:
        self._publisher = publisher
        self._view = View(publisher.snapshot)
        self.stopping = stopping

    @property
    def newest(self) -> View:
        """The view of the last published snapshot. Raises ProblemError before the first."""
        snapshot = self.snapshot
        if snapshot is not self._view.snapshot:
            self._view = View(snapshot)
        return self._view

    @property
    def snapshot(self) -> Snapshot:
        """The last published snapshot. Raises ProblemError before the first."""
        self.expect_a_pass()
        return self.published

    def expect_a_pass(self) -> None:
        """Raises ProblemError before the first."""
        if not self.published.number:
            raise ProblemError(503, "the reconciler has not made its first pass yet; try again in a second")

    @property
    def published(self) -> Snapshot:
        """The same, empty before the first."""
        return self._publisher.snapshot

    @property
    def heartbeat_at(self) -> float | None:
        """When the reconciler made its last pass, epoch seconds; None before the first."""
        at: float | None = self.published.document.get("reconciler", {}).get("heartbeat_at")
        return at

    @property
    def state(self) -> StateDir:
        """Where logs, events and values lie."""
        return self._publisher.state


def tagged(text: str) -> tuple[bytes, str]:
    """A body and its ETag."""
    body = text.encode()
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'


def answer(request: Request, value: Any) -> Response:
    """`value` as JSON, or 304 to a client that has it."""
    return answer_tagged(request, *tagged(encode(value)))


def answer_tagged(request: Request, body: bytes, etag: str) -> Response:
    """A body as it is, or 304 to a client that has it."""
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    known = (tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(","))
    if any(tag in (etag, "*") for tag in known):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
