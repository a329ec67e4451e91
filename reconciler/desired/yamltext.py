"""Strict YAML: what a manifest may be written in, as plain values with their places.

Of YAML 1.2 this takes the core schema (so ``on`` is text, ``010`` is 10, dates are text) without tags and
merge keys. Duplicate keys are errors, keys are texts, and some values are the source text of their scalar
(`TEXTS`, `TEXT_MAPS`). Built from libyaml's events: unlike its nodes they cost little, and deep nesting
cannot overflow the C stack.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]

MAX_BYTES = 1 << 20
MAX_DEPTH = 30
MAX_VALUES = 200_000
"""Of one file, with every alias counted as what it stands for."""

TEXTS = frozenset({"address", "node", "path", "unit", "order", "frame"})
"""Keys whose value is the source text of the scalar: ``40001.10`` stays so."""
TEXT_MAPS = frozenset({"labels", "annotations", "nodeSelector", "env"})
"""Keys whose mappings have such values."""

_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_DIGITS = 40
"""A number is at most so long; no field holds more."""


class Place(NamedTuple):
    """Where a value stands, from 1, and where what is in it stands; `keys` are those of a mapping's keys.

    `file` is set where it is another file than the manifest's own.
    """

    line: int
    column: int
    children: dict[str, Place] | list[Place] | None = None
    keys: dict[str, Place] | None = None
    file: str | None = None

    def find(self, path: tuple[str | int, ...], *, key: bool = False) -> Place:
        """The place of the value at `path` (of its key, with `key`), or of the innermost around it."""
        place = self
        for i, step in enumerate(path):
            if isinstance(place.children, dict):
                found = place.children.get(str(step))
                if key and i == len(path) - 1 and place.keys:
                    found = place.keys.get(str(step))
            elif isinstance(place.children, list) and isinstance(step, int) and step < len(place.children):
                found = place.children[step]
            else:
                found = None
            if found is None:
                break
            place = found
        return place


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file: its value and where everything in it stands."""

    value: Any
    place: Place


class YamlError(ValueError):
    """Text that is not the YAML of a manifest; line and column count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


def parse_documents(data: bytes) -> list[Document]:
    """Every document that is not empty. Raises YamlError."""
    if len(data) > MAX_BYTES:
        raise YamlError(
            1, 1, f"the file is larger than {MAX_BYTES >> 20} MiB; split it, or move tags to a point table"
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise YamlError(line, 1, "cannot read this as UTF-8; save the file in that encoding") from None
    try:
        return list(_Builder(text).documents())
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, 1, f"cannot read the character {error.character!r}: {error.reason}") from None


def resolve(text: str) -> Any:
    """The value of a plain scalar. Raises ValueError for a number that no field holds."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "0123456789+-.":
        if _INTEGER.fullmatch(text):
            if len(text) > _DIGITS:
                raise ValueError("this number is too long")
            return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))
        if _FLOAT.fullmatch(text):
            value = (
                float(text.replace(".inf", "inf").replace(".nan", "nan"))
                if "n" not in text.lower()
                else math.nan
            )
            if not math.isfinite(value):
                raise ValueError(
                    f"{text} is no finite number; put it in single quotes if it is meant as text"
                )
            return value
    return text


class _Builder:
    """Values and places from the events of one text."""

    def __init__(self, text: str) -> None:
        self.parser: Any = CParser(text)
        self.anchors: dict[str, tuple[Any, Place, int]] = {}
        self.count = 0

    def documents(self) -> Iterator[Document]:
        next_event = self.parser.get_event
        while not isinstance(event := next_event(), yaml.StreamEndEvent):
            if isinstance(event, yaml.DocumentStartEvent):
                self.anchors = {}
                value, place = self.value(next_event(), 0, source=False)
                if value is not None:
                    yield Document(value, place)

    def value(self, event: Any, depth: int, *, source: bool) -> tuple[Any, Place]:
        mark = event.start_mark
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self.alias(event)
        self.grow(mark, 1)
        if event.tag is not None and event.tag != "!":
            raise YamlError(
                mark.line + 1,
                mark.column + 1,
                f"the tag {event.tag.replace('tag:yaml.org,2002:', '!!')} is not allowed here; leave it out",
            )
        before = self.count
        if kind is yaml.ScalarEvent:
            value, place = self.scalar(event, source=source), Place(mark.line + 1, mark.column + 1)
        elif depth >= MAX_DEPTH:
            raise YamlError(
                mark.line + 1, mark.column + 1, f"values are nested deeper than {MAX_DEPTH} levels"
            )
        elif kind is yaml.MappingStartEvent:
            value, place = self.mapping(mark, depth, source=source)
        else:
            value, place = self.sequence(mark, depth, source=source)
        if event.anchor is not None:
            self.anchors[event.anchor] = value, place, self.count - before + 1
        return value, place

    def alias(self, event: Any) -> tuple[Any, Place]:
        mark = event.start_mark
        if event.anchor not in self.anchors:
            raise YamlError(
                mark.line + 1,
                mark.column + 1,
                f"*{event.anchor} stands for nothing: no &{event.anchor} before it",
            )
        value, place, count = self.anchors[event.anchor]
        self.grow(mark, count)
        return value, Place(mark.line + 1, mark.column + 1, place.children, place.keys)

    def grow(self, mark: Any, count: int) -> None:
        self.count += count
        if self.count > MAX_VALUES:
            raise YamlError(
                mark.line + 1,
                mark.column + 1,
                f"the file holds more than {MAX_VALUES} values, aliases counted in full",
            )

    def scalar(self, event: Any, *, source: bool) -> Any:
        text = event.value
        if not event.implicit[0] or (source and text):
            return text
        try:
            return resolve(text)
        except ValueError as error:
            mark = event.start_mark
            raise YamlError(mark.line + 1, mark.column + 1, str(error)) from None

    def sequence(self, mark: Any, depth: int, *, source: bool) -> tuple[list[Any], Place]:
        values: list[Any] = []
        places: list[Place] = []
        while type(event := self.parser.get_event()) is not yaml.SequenceEndEvent:
            value, place = self.value(event, depth + 1, source=source)
            values.append(value)
            places.append(place)
        return values, Place(mark.line + 1, mark.column + 1, places)

    def mapping(self, mark: Any, depth: int, *, source: bool) -> tuple[dict[str, Any], Place]:
        values: dict[str, Any] = {}
        places: dict[str, Place] = {}
        keys: dict[str, Place] = {}
        while type(event := self.parser.get_event()) is not yaml.MappingEndEvent:
            key = self.key(event)
            at = event.start_mark
            if key in values:
                first = keys[key].line
                raise YamlError(at.line + 1, at.column + 1, f"the key {key} is already given in line {first}")
            keys[key] = Place(at.line + 1, at.column + 1)
            values[key], places[key] = self.value(
                self.parser.get_event(), depth + 1, source=source or key in TEXTS or key in TEXT_MAPS
            )
        return values, Place(mark.line + 1, mark.column + 1, places, keys)

    def key(self, event: Any) -> str:
        mark = event.start_mark
        if type(event) is not yaml.ScalarEvent or event.tag is not None:
            raise YamlError(mark.line + 1, mark.column + 1, "a key must be a plain text")
        text: str = event.value
        if text == "<<" and event.implicit[0]:
            raise YamlError(
                mark.line + 1,
                mark.column + 1,
                "merge keys (<<) are not allowed; use deviceDefaults, or repeat the keys",
            )
        if event.implicit[0] and _INTEGER.fullmatch(text) and len(text) <= _DIGITS:
            return str(resolve(text))
        return text


def _explained(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    mark: Any = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    problem = str(error.problem or error.context or "cannot read this as YAML")
    lines = text.splitlines()
    rest = lines[line][column:] if line < len(lines) else ""
    if "\t" in rest[:1]:
        problem = "tabs may not be used to indent; use spaces"
    elif rest[:1] in ("%", "@", "`"):
        problem = f"a text that begins with {rest[0]} needs single quotes, such as '{rest[0]}'"
    elif rest[:1] in ("[", "{", "]", "}"):
        problem += f"; a text with {rest[0]} in it needs single quotes, such as 'ns=2;s=[PLC]Temp'"
    return YamlError(line + 1, column + 1, problem)
