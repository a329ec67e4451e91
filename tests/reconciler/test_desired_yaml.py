"""Strict YAML: texts stay texts, places are exact, bombs are refused, golden manifests give golden errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired import check
from reconciler.desired.yamltext import MAX_BYTES, TEXTS, YamlError, parse_documents

CASES = sorted((Path(__file__).parents[1] / "cases" / "manifests").iterdir())


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_a_bad_manifest_gives_its_golden_errors(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    _, errors = check([], Path())
    assert "".join(f"{e}\n" for e in errors) == Path("errors.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("010", 10), ("0o10", 8), ("0x1F", 31),
        ("12:30:45", "12:30:45"), ("1e3", 1000.0),
        ("2020-01-01", "2020-01-01"), ("~", None), ("true", True),
        ("1_000", "1_000"), ("+.5", 0.5), ("'1'", "1"),
    ],
)  # fmt: skip
def test_plain_scalars_are_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = parse_documents(f"a: {text}\n".encode())[0].value["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("key", ["address", "node", "path", "unit", "order", "frame"])
def test_addresses_and_units_are_the_source_text(key: str) -> None:
    assert parse_documents(f"{key}: 40001.10".encode())[0].value == {key: "40001.10"}


def test_labels_are_source_texts_and_integer_keys_become_text() -> None:
    value = parse_documents(b"labels: {line: 010, on: yes}\nbits: {0: a, 0x0F: b}")[0].value
    assert value == {"labels": {"line": "010", "on": "yes"}, "bits": {"0": "a", "15": "b"}}


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_an_error_and_no_crash(opening: str) -> None:
    with pytest.raises(YamlError):
        parse_documents((opening * 100_000).encode())


def test_a_file_larger_than_a_mebibyte_is_refused() -> None:
    with pytest.raises(YamlError, match="larger than 1 MiB"):
        parse_documents(b"a: 1\n" + b"#" * MAX_BYTES)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_documents_or_a_yaml_error(data: bytes) -> None:
    try:
        documents = parse_documents(data)
    except YamlError as error:
        assert error.line >= 1
        assert error.column >= 1
    else:
        assert all(d.value is not None for d in documents)


texts = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")))
scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | texts
scalars |= st.floats(allow_nan=False, allow_infinity=False)


keys = texts.filter(lambda key: key not in {*TEXTS, "labels"})  # there even a number is text


@given(st.recursive(scalars, lambda v: st.lists(v) | st.dictionaries(keys, v), max_leaves=20))
def test_json_is_read_as_what_it_says(value: Any) -> None:
    documents = parse_documents(json.dumps({"a": value}, ensure_ascii=False).encode())
    assert documents[0].value == {"a": value}


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_place_is_the_line_and_column_of_the_value(lines: int, spaces: int) -> None:
    text = "\n" * lines + "a:\n  - b: " + " " * spaces + "x"
    place = parse_documents(text.encode())[0].place.find(("a", 0, "b"))
    assert (place.line, place.column) == (lines + 2, 8 + spaces)
