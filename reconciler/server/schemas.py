"""JSON Schemas of answers other than the status object, which has its own file."""

from __future__ import annotations

from typing import Any

STRING: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}
INTEGER: dict[str, Any] = {"type": "integer"}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
BOOLEAN: dict[str, Any] = {"type": "boolean"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties)}


_END = {
    "exit_code": _or_null(INTEGER),
    "signal": _or_null(INTEGER),
    "reason": STRING,
    "at": NUMBER,
    "observed_by": {"enum": ["wait", "pidfd", "none"]},
}
_CHANGE = _object(field=STRING, before={}, after={}, effect={"enum": ["live", "restart"]})
_SUMMARY = {
    "total_processes": COUNT,
    "running_processes": COUNT,
    "stopped_processes": COUNT,
    "error_processes": COUNT,
    "degraded_processes": COUNT,
    "disconnected_devices": COUNT,
    "stale_tags": COUNT,
    "avg_cpu_usage": NUMBER,
    "memory_mb": NUMBER,
    "points_per_second": NUMBER,
    "queued_points": COUNT,
    "revision": _or_null(STRING),
    "converged": BOOLEAN,
}

SCHEMAS: dict[str, Any] = {
    "Summary": _object(**_SUMMARY, heartbeat_at=NUMBER),
    "State": _object(
        reconciler=_object(
            pid=_or_null(COUNT), started_at=_or_null(NUMBER), heartbeat_at=NUMBER, version=STRING, node=STRING
        ),
        source=_object(
            kind={"enum": ["directory", "git"]},
            fetched=_or_null(STRING),
            attempted=_or_null(STRING),
            applied=_or_null(STRING),
            branch=_or_null(STRING),
            dirty=_or_null(BOOLEAN),
            verified=_or_null(BOOLEAN),
            fetched_at=_or_null(NUMBER),
            error=_or_null(STRING),
            desired_digest=_or_null(STRING),
        ),
        converged=BOOLEAN,
        summary=_object(**_SUMMARY),
    ),
    "Termination": _object(**_END, lived_s=_or_null(NUMBER), tail=STRING),
    "Value": _object(
        device=STRING,
        tag=STRING,
        value={"type": ["number", "boolean", "string", "null"]},
        unit=_or_null(STRING),
        quality={"enum": ["good", "bad", "stale"]},
        at=_or_null(NUMBER),
        raw=STRING,
    ),
    "Event": _object(number=COUNT, at=NUMBER, name=_or_null(STRING), reason=STRING, message=STRING),
    "Diff": _object(
        plan=STRING,
        steps=_list(
            _object(
                name=STRING,
                kind=STRING,
                action=STRING,
                verdict=STRING,
                reason=STRING,
                message=STRING,
                digest=_or_null(STRING),
                pids=_list(INTEGER),
                changes=_list(_CHANGE),
            )
        ),
        refusal=_or_null(_object(message=STRING, names=_list(STRING))),
        errors=_list(_object(path=STRING, line=COUNT, column=COUNT, where=STRING, message=STRING)),
        unread=_or_null(STRING),
    ),
    "Version": _object(version=STRING, node=STRING),
    "Problem": _object(type=STRING, title=STRING, status=INTEGER, detail=STRING),
}
