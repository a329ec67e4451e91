"""What of a manifest needs a restart when it changes, and a short name for it.

A digest covers only what the user wrote (no defaults, paths as written), so that neither a newer version
nor a comment, an order of keys or another spelling of a duration restarts anything. Whoever changes what
`split` or `normal` give for any manifest makes a new ALGORITHM.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from collectors.contract import Kind, canonical_duration, canonical_size

ALGORITHM = 1

LIVE = ("restart", "stop", "health", "resources", "buffer", "sinks", "nodeSelector")
"""Fields of a spec that change in a running process."""
TEXTS = ("unit", "title")
"""Keys of a tag that change in a running process."""

DURATIONS = frozenset(
    {
        "interval",
        "every",
        "atLeastEvery",
        "timeout",
        "pause",
        "publishing",
        "sampling",
        "delay",
        "maxDelay",
        "window",
        "grace",
        "startTimeout",
        "staleAfter",
        "logSilence",
        "maxAge",
    }
)
SIZES = frozenset({"memory", "maxBytes"})
OPAQUE = frozenset({"env", "labels", "nodeSelector"})
"""Keys whose values are the user's own names and texts."""


def normal(value: Any, key: str = "") -> Any:
    """The same value in one spelling: ``60s`` is ``1m``, ``1.0`` is 1; other texts stay as they are."""
    if isinstance(value, Mapping):
        return dict(value) if key in OPAQUE else {k: normal(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [normal(v) for v in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and (key in DURATIONS or key in SIZES):
        return canonical_duration(value) if key in DURATIONS else canonical_size(value)
    return value


def split(
    kind: Kind, spec: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, dict[str, str]]]:
    """A normal spec as the part that needs a restart, the part that does not, and the texts of each tag by its name.

    ``state`` is in neither: it says whether there is a process, not which. All of a Sink needs a restart.
    """
    if kind == "Sink":
        return dict(spec), {}, {}
    live = {key: spec[key] for key in LIVE if key in spec}
    restart = {key: value for key, value in spec.items() if key not in live and key != "state"}
    texts: dict[str, dict[str, str]] = {}
    if "tags" in restart:
        restart["tags"] = _untitled(restart["tags"], texts)
    if "devices" in restart:
        restart["devices"] = [
            {**device, "tags": _untitled(device["tags"], texts)} if "tags" in device else device
            for device in restart["devices"]
        ]
    return restart, live, texts


def digest(kind: Kind, name: str, spec: Mapping[str, Any], files: Mapping[str, str] | None = None) -> str:
    """``1-`` and 16 hex digits; `files` is the SHA-256 of each exec config file by its path as written."""
    restart, _, _ = split(kind, normal(spec))
    text = json.dumps([kind, name, restart, dict(files or {})], sort_keys=True, separators=(",", ":"))
    return f"{ALGORITHM}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _untitled(tags: list[dict[str, Any]], texts: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    for tag in tags:
        if found := {key: tag[key] for key in TEXTS if key in tag}:
            texts[tag["name"]] = found
    return [{key: value for key, value in tag.items() if key not in TEXTS} for tag in tags]
