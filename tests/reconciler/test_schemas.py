"""The schemas describe everything, mark what changes live, and the quick check agrees with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler import digest
from reconciler.desired.sentences import _inlined, schema

NAMES = ("collector", "sink", "status")


def _properties(part: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(part, dict):
        for key, value in (
            part.get("properties", {}).items() if isinstance(part.get("properties"), dict) else ()
        ):
            yield key, value
        for value in part.values():
            yield from _properties(value)
    elif isinstance(part, list):
        for value in part:
            yield from _properties(value)


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_a_valid_schema(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))


@pytest.mark.parametrize("name", NAMES)
def test_every_property_has_a_description(name: str) -> None:
    conditions = {"type": {"const"}}
    bare = [k for k, v in _properties(schema(name)) if "description" not in v and set(v) != conditions.get(k)]
    assert not bare


@pytest.mark.parametrize("protocol", ["modbus", "opcua", "melsec", "exec"])
def test_every_spec_property_says_whether_it_changes_live_as_the_digest_has_it(protocol: str) -> None:
    marks = {
        k: v["x-daq-change"] for k, v in schema("collector")["$defs"][f"{protocol}Spec"]["properties"].items()
    }
    assert {k for k, mark in marks.items() if mark == "live"} <= {*digest.LIVE, "state"}
    assert {k for k, mark in marks.items() if mark == "restart"}.isdisjoint({*digest.LIVE, "state"})


@pytest.mark.parametrize("protocol", ["modbus", "opcua", "melsec"])
def test_of_a_tag_only_the_texts_change_live(protocol: str) -> None:
    tag = schema("collector")["$defs"][f"{protocol}Tag"]["properties"]
    assert {k for k, v in tag.items() if v["x-daq-change"] == "live"} == set(digest.TEXTS)


def test_durations_and_sizes_are_normalised_exactly_where_the_schema_has_them() -> None:
    found: dict[str, set[str]] = {"duration": set(), "size": set()}
    for name in ("collector", "sink"):
        for key, value in _properties(schema(name)):
            for kind, keys in found.items():
                if value.get("$ref") == f"#/$defs/{kind}":
                    keys.add(key)
    assert found == {"duration": set(digest.DURATIONS), "size": set(digest.SIZES)}


def _values() -> st.SearchStrategy[Any]:
    words = st.sampled_from(
        [
            "name",
            "host",
            "port",
            "type",
            "int16",
            "modbus",
            "1s",
            "5",
            "tags",
            "devices",
            "address",
            "40001",
            "bits",
            "3",
            "unit",
            "bucket",
            "database",
            "url",
        ]
    )
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-5, 600)
        | st.floats(allow_nan=False, allow_infinity=False)
        | words
    )
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
        max_leaves=12,
    )


PARTS = [
    (_inlined(schema(name)["$defs"][part], schema(name)["$defs"]))
    for name, part in [
        ("collector", "modbusTag"),
        ("collector", "modbusDevice"),
        ("collector", "opcuaTag"),
        ("collector", "env"),
        ("collector", "restart"),
        ("sink", "influxdbSpec"),
        ("sink", "secret"),
    ]
]


@given(st.sampled_from(PARTS), _values())
def test_what_fits_quickly_is_what_jsonschema_accepts(part: dict[str, Any], value: Any) -> None:
    assert jsonschema_rs.Draft202012Validator(part).is_valid(value) == jsonschema.Draft202012Validator(
        part
    ).is_valid(value)
