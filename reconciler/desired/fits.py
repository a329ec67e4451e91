"""A quick answer to whether a value fits a JSON Schema, so that jsonschema is only asked what is wrong. Pure.

jsonschema takes most of the time of reading a thousand manifests, and nearly all of them are valid. A yes
from here is a yes from jsonschema; a no may also mean a keyword that is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any], bool]

_TYPES: Mapping[str, Check] = {
    "string": lambda v: isinstance(v, str),
    "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "boolean": lambda v: isinstance(v, bool),
    "array": lambda v: isinstance(v, list),
    "object": lambda v: isinstance(v, dict),
}
_SAYS_NOTHING = {
    "$schema",
    "$id",
    "title",
    "description",
    "default",
    "patternErrorMessage",
    "x-daq-change",
    "x-daq-message",
}


def compiled(schema: Mapping[str, Any]) -> Check:
    """A check for a schema without references."""
    checks = [
        _KEYWORDS[word](wanted, schema) if word in _KEYWORDS else _unknown
        for word, wanted in schema.items()
        if word not in _SAYS_NOTHING and word not in _PARTS
    ]
    if len(checks) == 1:
        return checks[0]
    return lambda value: all(check(value) for check in checks)


def _unknown(value: Any) -> bool:
    return False


def _type(wanted: Any, schema: Mapping[str, Any]) -> Check:
    if wanted == "object":
        return _object(schema)
    return _TYPES[wanted] if isinstance(wanted, str) else _unknown


def _object(schema: Mapping[str, Any]) -> Check:
    known = {key: compiled(part) for key, part in schema.get("properties", {}).items()}
    patterns = [(re.compile(p), compiled(part)) for p, part in schema.get("patternProperties", {}).items()]
    rest = schema.get("additionalProperties", True)
    other = compiled(rest) if isinstance(rest, dict) else (lambda _: bool(rest))
    required = schema.get("required", ())

    def check(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        for key in required:
            if key not in value:
                return False
        for key, item in value.items():
            if key in known:
                if not known[key](item):
                    return False
            elif found := [part for pattern, part in patterns if pattern.search(key)]:
                if not all(part(item) for part in found):
                    return False
            elif not other(item):
                return False
        return True

    return check


def _items(part: Any, _: Mapping[str, Any]) -> Check:
    check = compiled(part)
    return lambda value: not isinstance(value, list) or all(map(check, value))


def _pattern(wanted: Any, _: Mapping[str, Any]) -> Check:
    search = re.compile(wanted).search
    return lambda value: not isinstance(value, str) or search(value) is not None


def _all_of(parts: Any, _: Mapping[str, Any]) -> Check:
    checks = [compiled(part) for part in parts]
    return lambda value: all(check(value) for check in checks)


def _one_of(parts: Any, _: Mapping[str, Any]) -> Check:
    checks = [compiled({"type": "object", **part}) for part in parts]
    return lambda value: sum(check(value) for check in checks) == 1


def _if(condition: Any, schema: Mapping[str, Any]) -> Check:
    test = compiled({"type": "object", **condition})
    then = compiled(schema.get("then", {}))
    otherwise = compiled(schema.get("else", {}))
    return lambda value: then(value) if test(value) else otherwise(value)


def _bound(
    fits: Callable[[Any, Any], bool], kinds: type | tuple[type, ...]
) -> Callable[[Any, Mapping[str, Any]], Check]:
    return lambda wanted, _: lambda value: not isinstance(value, kinds) or fits(value, wanted)


_KEYWORDS: Mapping[str, Callable[[Any, Mapping[str, Any]], Check]] = {
    "type": _type,
    "items": _items,
    "pattern": _pattern,
    "allOf": _all_of,
    "oneOf": _one_of,
    "if": _if,
    "enum": lambda wanted, _: lambda value: isinstance(value, str) and value in wanted,
    "const": lambda wanted, _: lambda value: isinstance(value, str) and value == wanted,
    "minimum": _bound(lambda v, w: bool(v >= w), (int, float)),
    "maximum": _bound(lambda v, w: bool(v <= w), (int, float)),
    "minLength": _bound(lambda v, w: len(v) >= w, str),
    "maxLength": _bound(lambda v, w: len(v) <= w, str),
    "minItems": _bound(lambda v, w: len(v) >= w, list),
    "uniqueItems": _bound(lambda v, w: not w or len({repr(i) for i in v}) == len(v), list),
    "minProperties": _bound(lambda v, w: len(v) >= w, dict),
    "maxProperties": _bound(lambda v, w: len(v) <= w, dict),
}
_PARTS = {"properties", "patternProperties", "additionalProperties", "required", "then", "else"}
"""Judged together with ``type: object`` or ``if``."""
