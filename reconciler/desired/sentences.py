"""JSON Schema errors as sentences for an automation engineer."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from collectors.contract import Kind

if TYPE_CHECKING:
    import jsonschema

Steps = tuple[str | int, ...]
"""Keys and indices from the top of a document."""

KINDS: Mapping[Kind, str] = {"Collector": "collector", "Sink": "sink"}


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema ``collector``, ``sink`` or ``status``."""
    value: dict[str, Any] = json.loads(
        (files("reconciler") / "schemas" / f"{name}.schema.json").read_text("utf-8")
    )
    return value


def schema_problems(kind: Kind, document: Any) -> Iterator[tuple[Steps, bool, str]]:
    """What does not fit the schema: where, whether the key itself is meant, and a sentence."""
    if _fits(kind, document):
        return
    seen = set()
    for error in _validator(kind).iter_errors(document):
        for problem in _problems(error):
            if problem not in seen:
                seen.add(problem)
                yield problem


def nearest(word: str, known: Sequence[str]) -> str:
    """``; did you mean x?``, or the list of what is known."""
    by_case = [k for k in known if k.lower() == word.lower()]
    found = by_case or difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {found[0]}?" if found else f"; known here: {', '.join(known)}"


@cache
def _schema(kind: Kind) -> Any:
    whole = schema(KINDS[kind])
    return _inlined(whole, whole["$defs"])


def _fits(kind: Kind, document: Any) -> bool:
    """A quick yes, 100 times faster than jsonschema, whose sentences are needed only for a no."""
    try:
        return _quick(kind).is_valid(document)
    except ValueError:  # what JSON cannot say; jsonschema has the words
        return False


@cache
def _quick(kind: Kind) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(_schema(kind))


@cache
def _validator(kind: Kind) -> jsonschema.Draft202012Validator:
    import jsonschema  # noqa: PLC0415  (80 ms, needed only where something is wrong)

    return jsonschema.Draft202012Validator(_schema(kind))


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with each reference replaced by what it names."""
    if isinstance(value, list):
        return [_inlined(v, definitions) for v in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        named = definitions[value["$ref"].removeprefix("#/$defs/")]
        value = {**named, **{k: v for k, v in value.items() if k != "$ref"}}
    return {k: _inlined(v, definitions) for k, v in value.items() if k != "$defs"}


def _problems(error: jsonschema.ValidationError) -> Iterator[tuple[Steps, bool, str]]:
    at: Steps = tuple(error.absolute_path)
    value: Any = error.instance
    wanted: Any = error.validator_value
    part: Any = error.schema
    rule = str(error.validator)
    if rule == "additionalProperties":
        known = list(part.get("properties", {}))
        patterns = part.get("patternProperties", {})
        for key in value:
            if patterns and not any(re.search(p, key) for p in patterns):
                yield (*at, key), True, f"the key {key} is not possible: {part['patternErrorMessage']}"
            elif not patterns and key not in known:
                yield (*at, key), True, f"the key {key} is not known here{nearest(key, known)}"
    elif rule == "required":
        for key in wanted:
            if key not in value:
                yield at, False, f"{key} is missing"
    else:
        yield at, False, _sentence(rule, wanted, value, part)


def _sentence(rule: str, wanted: Any, value: Any, part: Mapping[str, Any]) -> str:
    if rule in ("type", "oneOf", "not") and "x-daq-message" in part:
        return str(part["x-daq-message"])  # of a secret too, which no message may show
    match rule:
        case "type":
            return _type_sentence(wanted, value, part.get("patternErrorMessage"))
        case "enum":
            known = [str(w) for w in wanted]
            return f"{_shown(value)} is not possible{nearest(str(value), known)}"
        case "const":
            return f"must be {wanted}, not {_shown(value)}"
        case "pattern":
            return f"{_shown(value)} is not possible: {part['patternErrorMessage']}"
        case "minimum" | "maximum":
            return f"{value} is too {'small' if rule == 'minimum' else 'large'}: {_range(part)}"
        case "minLength":
            return "must not be empty"
        case "maxLength":
            return f"is longer than {wanted} characters"
        case "minItems" | "minProperties":
            return "must not be empty"
        case "maxProperties":
            return f"must have only one of {', '.join(part.get('properties', ()))}"
        case "uniqueItems":
            return "must not name the same twice"
    return f"does not fit the rule {rule} {_shown(wanted)}"


_TYPES = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "keys with values",
}  # fmt: skip


def _type_sentence(types: str | list[str], value: Any, right: str | None) -> str:
    wanted = (
        types if isinstance(types, str) else types[0]
    )  # further types are for editors: they see no source texts
    if value is None:
        return "is empty; give it a value, or leave the key out"
    if right is not None:
        return f"{_shown(value)} is not possible: {right}"
    advice = ""
    if wanted == "string":
        advice = "; put it in single quotes if it is meant as text"
    elif wanted == "array":
        advice = "; write it as a list, [a, b]"
    elif isinstance(value, str) and wanted in ("integer", "number", "boolean"):
        advice = "; write it without quotes or a unit"
    return f"must be {_TYPES[wanted]}, not {_shown(value)}{advice}"


def _range(part: Mapping[str, Any]) -> str:
    low, high = part.get("minimum"), part.get("maximum")
    if low is None or high is None:
        return f"at least {low}" if high is None else f"at most {high}"
    return f"{low} to {high}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "keys with values"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value:g}" if isinstance(value, float) else f"the number {value}"
    text = str(value)
    return repr(text if len(text) <= 40 else text[:37] + "...")
