"""Manifests as text: keys in the order people write them, comments where something was decided for them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_PLAIN = re.compile(
    r"[A-Za-z°µ一-鿿/][A-Za-z0-9°µ²³一-鿿_./ -]*(?<! )"  # words
    r"|\d+(ms|s)|\d+\.\d+\.\d+\.\d+"  # durations, addresses
)
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off"})
_NAME = re.compile(r"[^a-z0-9_-]+")


class LegacyError(ValueError):
    """A JSON file that cannot become a manifest; the message says where and what would be right."""


@dataclass(frozen=True, slots=True)
class Noted:
    """A value with what a person should know of it."""

    value: Any
    notes: tuple[str, ...]


@dataclass(slots=True)
class Manifest:
    """One document: `spec` in order, and comments for its head."""

    kind: str
    name: str
    spec: dict[str, Any]
    notes: list[str] = field(default_factory=list)


def document(manifest: Manifest) -> str:
    """Its YAML, with a final newline."""
    lines = [*_comments(manifest.notes, ""), "apiVersion: daq/v1", f"kind: {manifest.kind}"]
    lines += [f"metadata: {{name: {manifest.name}}}", "spec:"]
    for key, value in manifest.spec.items():
        lines += _entry(key, value, "  ")
    return "\n".join(lines) + "\n"


def scalar(value: Any) -> str:
    """A value on one line: plain where nothing can mistake it, else quoted; mappings and lists in flow style."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{scalar(k)}: {scalar(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(scalar, value)) + "]"
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)


def name_of(text: str) -> str:
    """A manifest's name out of anything."""
    return _NAME.sub("-", text.lower()).strip("-_")[:63].strip("-_") or "unnamed"


def seconds(value: Any, where: str) -> str:
    """A number of seconds as a duration. Raises LegacyError."""
    number = _number(value, where)
    if number < 0:
        raise LegacyError(f"{where}: {value} is less than nothing; write a number of seconds")
    return f"{number:g}s" if number == int(number) else f"{round(number * 1000)}ms"


def integer(value: Any, where: str) -> int:
    """A whole number, also where it was written as text. Raises LegacyError."""
    number = _number(value, where)
    if number != int(number):
        raise LegacyError(f"{where}: {value} is no whole number")
    return int(number)


def _number(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise LegacyError(f"{where}: {json.dumps(value)} is no number")
    try:
        return float(value)
    except ValueError:
        raise LegacyError(f"{where}: {value!r} is no number") from None


def left_over(given: Mapping[str, Any], known: Iterable[str], where: str) -> list[str]:
    """A sentence for each key that has no equal; what looks like a secret is not repeated."""
    taken = set(known)
    return [
        f"no equal: {where}{key}: {'(not shown)' if is_secret(key) else json.dumps(value, ensure_ascii=False)}"
        for key, value in given.items()
        if key not in taken
    ]


def is_secret(key: str) -> bool:
    """Whether a key's value must not stand in a manifest."""
    return any(word in key.lower() for word in ("password", "passwd", "token", "secret", "apikey", "api_key"))


def _entry(key: str, value: Any, indent: str) -> list[str]:
    notes: Sequence[str] = ()
    if isinstance(value, Noted):
        value, notes = value.value, value.notes
    head = _comments(notes, indent)
    if isinstance(value, list) and value and isinstance(value[0], Mapping | Noted):
        items = [line for item in value for line in _item(item, indent + "  ")]
        return [*head, f"{indent}{key}:", *items]
    return [*head, f"{indent}{key}: {scalar(value)}"]


def _item(value: Any, indent: str) -> list[str]:
    notes: Sequence[str] = ()
    if isinstance(value, Noted):
        value, notes = value.value, value.notes
    return [*_comments(notes, indent), f"{indent}- {scalar(value)}"]


def _comments(notes: Iterable[str], indent: str) -> list[str]:
    return [f"{indent}# {line}" for note in notes for line in note.splitlines()]
