"""The API's description in OpenAPI 3.1, made of the same list that is served."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from reconciler import __version__
from reconciler.server.operations import JSON, Operation
from reconciler.server.schemas import SCHEMAS

REFUSED = {
    400: "The query cannot be understood.",
    401: "The token is missing or wrong.",
    403: "The Host or Origin is none of ours.",
    404: "There is nothing of that name.",
    503: "The reconciler has made no pass yet, or is stopping.",
}


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document of ``/openapi.json``."""
    status = json.loads((files("reconciler") / "schemas" / "status.schema.json").read_text("utf-8"))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "daq",
            "version": __version__,
            "description": "What is true of a plant's data collectors. It only reads; manifests change what runs. "
            "All status objects, and changes as they are seen, come over the WebSocket /ws/processes.",
        },
        "paths": {o.path: {"get": _operation(o)} for o in operations},
        "components": {
            "schemas": {"Status": {k: v for k, v in status.items() if not k.startswith("$")}, **SCHEMAS},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    says = " ".join((operation.handler.__doc__ or "").split())
    good: dict[str, Any] = {
        "description": says,
        "headers": {
            "Daq-Heartbeat-At": {
                "description": "When the reconciler made its last pass, epoch seconds.",
                "schema": {"type": "number"},
            }
        },
        "content": {operation.media: {"schema": operation.schema}},
    }
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    refusals = sorted({*operation.refusals, 403, *(() if operation.open else (401,))})
    known = {"304": {"description": "The client has it already (If-None-Match)."}}
    found: dict[str, Any] = {
        "operationId": operation.handler.__name__,
        "summary": says.partition(".")[0],
        "parameters": [_parameter(p) for p in operation.parameters],
        "responses": {
            "200": good,
            **(known if operation.media == JSON else {}),
            **{str(code): {"description": REFUSED[code], "content": problem} for code in refusals},
        },
    }
    if operation.open:
        found["security"] = []
    return found


def _parameter(parameter: Any) -> Mapping[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.says,
        "schema": parameter.schema,
    }
