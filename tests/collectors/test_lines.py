from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.lines import Value, field_key, field_value, parse, series_key, with_newlines

anything = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
names = anything.filter(lambda s: not re.search(r"[\x00-\x1f\x7f]|\\[\\,= \"]|\\\Z", s))
values: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)


def line(measurement: str, tags: dict[str, str], fields: dict[str, Value], ts_ns: int) -> str:
    pairs = ",".join(f"{field_key(k)}={field_value(v)}" for k, v in fields.items())
    return f"{series_key(measurement, tags)} {pairs} {ts_ns}"


@given(
    names.filter(lambda s: not s.startswith("#")),
    st.dictionaries(names, names, max_size=4),
    st.dictionaries(names, values, min_size=1, max_size=5),
    st.integers(0, 2**63 - 1),
)
def test_what_goes_in_comes_back_with_its_type(
    measurement: str, tags: dict[str, str], fields: dict[str, Value], ts_ns: int
) -> None:
    back = parse(line(measurement, tags, fields, ts_ns))
    assert back == (measurement, tags, fields, ts_ns)
    assert [type(v) for v in back[2].values()] == [type(v) for v in fields.values()]


@given(anything, anything, anything, anything, anything)
def test_any_text_makes_one_line_that_can_be_read_back(
    m: str, tag: str, label: str, name: str, text: str
) -> None:
    made = line(m, {tag: label}, {name: text}, 7)
    assert "\n" not in made
    measurement, tags, fields, ts_ns = parse(made)
    assert (len(measurement), [len(k) for k in tags], [len(v) for v in tags.values()]) == (
        len(m),
        [len(tag)],
        [len(label)],
    )
    assert (len(next(iter(fields))), fields[next(iter(fields))], ts_ns) == (
        len(name),
        text,
        7,
    )


@pytest.mark.parametrize(
    ("given_text", "stored"),
    [
        ("a\nb", "a b"),
        ("C:\\", "C:/"),
        ("a\\ b", "a/ b"),
        ("a\\\\b", "a/\\b"),
        ('say \\"hi', 'say /"hi'),
        ("C:\\temp", "C:\\temp"),
        ("\x00", " "),
    ],
)
def test_what_has_no_escape_is_replaced_as_documented(given_text: str, stored: str) -> None:
    assert parse(line("m", {"t": given_text}, {"f": 1}, 0))[1] == {"t": stored}


@given(anything, anything, anything, anything)
def test_only_newlines_of_strings_are_written_as_themselves(m: str, label: str, name: str, text: str) -> None:
    assert with_newlines(line(m, {"t": label}, {name: "a"}, 7).encode()).count(b"\n") == 0
    body = line(m, {"t": label}, {name: text, "n": 5}, 7).encode()
    assert with_newlines(body).count(b"\n") == text.count("\n")
    assert with_newlines(body + b"\n" + body).split(b"\n") == 2 * with_newlines(body).split(b"\n")


def test_a_measurement_never_starts_a_comment() -> None:
    assert parse(line("#1", {}, {"f": 1}, 0))[0] == "_1"


def test_tags_are_sorted_and_empty_ones_left_out() -> None:
    assert series_key("m", {"b": "2", "a": "1", "c": ""}) == "m,a=1,b=2"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 2**63, -(2**63) - 1])
def test_a_value_no_database_takes_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="cannot store"):
        field_value(value)


@pytest.mark.parametrize("what", ["measurement", "tag key", "field name"])
def test_an_empty_name_is_refused(what: str) -> None:
    with pytest.raises(ValueError, match=f"empty {what}"):
        line(
            "" if what == "measurement" else "m",
            {"" if what == "tag key" else "t": "x"},
            {"" if what == "field name" else "f": 1},
            0,
        )


@pytest.mark.parametrize(
    "bad", ["", "m", "m f=1", "m f=1 x", "m f 1", 'm f="x 1', "m,t f=1 2", "m f=abc 1", "m f= 1"]
)
def test_a_line_of_nobody_is_an_error_that_shows_it(bad: str) -> None:
    with pytest.raises(ValueError, match="cannot read as line protocol"):
        parse(bad)
