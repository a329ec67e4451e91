"""Refusals as RFC 9457 ``application/problem+json``: what was wrong, and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from starlette.responses import JSONResponse


class Problem(JSONResponse):
    """An answer that is none."""

    media_type = "application/problem+json"

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        title = HTTPStatus(status).phrase
        body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        super().__init__(body, status_code=status, headers=headers)


class ProblemError(Exception):
    """Raised by whoever answers a request, to refuse it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def unknown(name: str) -> ProblemError:
    """404 for a name that is neither collector nor sink."""
    return ProblemError(404, f"there is no collector or sink named {name!r}; GET /api/processes lists all")
