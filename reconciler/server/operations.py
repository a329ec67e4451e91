"""All that can be asked by GET, one entry a path: who answers, with what, and what may be said in the query."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response

from reconciler.server import host, processes, records
from reconciler.server.views import Views

JSON, TEXT = "application/json", "text/plain"

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something a client may say."""

    name: str
    says: str
    schema: Schema
    where: Literal["path", "query"] = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """GET of one path.

    `handler` answers, its docstring says with what; `schema` is the JSON Schema of that, `media` its type. `refusals`
    are the codes it may answer with instead. One that is `open` needs no token: it tells nothing of the plant.
    """

    path: str
    handler: Callable[[Views, Request], Response | Awaitable[Response]]
    schema: Schema
    media: str = JSON
    parameters: tuple[Parameter, ...] = ()
    refusals: tuple[int, ...] = (503,)
    open: bool = False


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


STRING = {"type": "string"}
COUNT = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
NAME = Parameter("name", "Name of a collector or sink.", STRING, "path")
LABEL = Parameter(
    "label",
    "Only those with this metadata label, KEY=VALUE; several must all fit.",
    {"type": "array", "items": {"type": "string", "pattern": "^[^=]+=.*$"}},
)
STATUS = Parameter("status", "Only those with one of these.", {"type": "array", "items": STRING})
TAIL = Parameter(
    "tail", f"How many lines, at most {records.MOST_LINES}.", {**COUNT, "default": records.LOG_LINES}
)
AFTER = Parameter("after", "Only those with a higher number.", {**COUNT, "default": 0})

OPERATIONS = (
    Operation(
        "/api/processes",
        processes.processes,
        _list("Status"),
        parameters=(LABEL, STATUS),
        refusals=(400, 503),
    ),
    Operation("/api/processes/stats/summary", processes.summary, _ref("Summary")),
    Operation(
        "/api/processes/{name}", processes.process, _ref("Status"), parameters=(NAME,), refusals=(404, 503)
    ),
    Operation(
        "/api/processes/{name}/logs", records.logs, STRING, TEXT, (NAME, TAIL), refusals=(400, 404, 503)
    ),
    Operation(
        "/api/processes/{name}/terminations",
        records.terminations,
        _list("Termination"),
        parameters=(NAME,),
        refusals=(404, 503),
    ),
    Operation(
        "/api/processes/{name}/values",
        records.values,
        _list("Value"),
        parameters=(NAME,),
        refusals=(404, 503),
    ),
    Operation("/api/diff", processes.diff, _ref("Diff")),
    Operation("/api/events", records.events, _list("Event"), parameters=(AFTER,), refusals=(400, 503)),
    Operation("/api/status", host.state, _ref("State")),
    Operation("/version", host.version, _ref("Version")),
    Operation("/livez", host.live, STRING, TEXT, refusals=(), open=True),
    Operation("/readyz", host.ready, STRING, TEXT, open=True),
)
