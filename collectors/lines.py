"""Line protocol: readings to text, and back for sinks that are no InfluxDB.

    press,collector=press-1,device=press-1,hall=A temperature=23.4,door=true 1793480000123456789

The text is what InfluxDB 1.x, 2.x and VictoriaMetrics all read the same way. Where their rules for
backslashes differ, or no escape exists, a character is replaced: in measurements, tag keys and values and
field keys a control character becomes a space, and a backslash before a delimiter, a double quote, another
backslash or at the end becomes a slash; a measurement's leading ``#`` (a comment) becomes ``_``.
Everything else comes back from :func:`parse` as it went in.

InfluxDB takes a newline in a string as it is. Here it is written as a backslash and an n, so that one line of
text is always one line of the protocol: a backslash of the string itself is doubled, so nothing else looks so.
:func:`with_newlines` writes it as InfluxDB reads it.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from math import isfinite
from typing import Any

Value = bool | int | float | str

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AMBIGUOUS_BACKSLASH = re.compile(r'\\(?=[\\,= "]|\Z)')

_UNESCAPED_SPACE = re.compile(r"(?<!\\) ")
_UNESCAPED_COMMA = re.compile(r"(?<!\\),")
_UNESCAPED_EQUALS = re.compile(r"(?<!\\)=")
_FIELD = re.compile(r'((?:[^\\,=]|\\.)+)=("(?:[^"\\]|\\.)*"|[^",]+)(?:,|\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\([,= ])")
_ESCAPED_IN_STRING = re.compile(r'\\(["\\n])')
_STRING = re.compile(rb'(?<!\\)="(?:[^"\\]|\\.)*"')
_SERIES = re.compile(rb"(?:[^\\ ]|\\.)* ")
_NEWLINE = re.compile(rb"(\\\\)|\\n")


def series_key(measurement: str, tags: Mapping[str, str]) -> str:
    """The part of a line before its fields, tags sorted by key; tags with an empty value are left out.

    Raises ValueError for an empty measurement or tag key.
    """
    name = _named("measurement", measurement).replace(",", "\\,").replace(" ", "\\ ")
    pairs = [f",{_key('tag key', k)}={_escape(tags[k])}" for k in sorted(tags) if tags[k]]
    return ("_" + name[1:] if name[0] == "#" else name) + "".join(pairs)


def field_key(name: str) -> str:
    """A field's name. Raises ValueError when empty."""
    return _key("field name", name)


def field_value(value: Value) -> str:
    """A field's value; integers are signed 64 bit.

    Raises ValueError for NaN, infinities and integers beyond 64 bit.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"cannot store {value}: beyond 64 bit signed")
        return f"{value}i"
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"cannot store {value}: not a number")
        return repr(value)
    text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"'


def line_of(series: str, fields: Sequence[tuple[str, type[Value]]]) -> Callable[[Sequence[Value], int], str]:
    """A function that writes a line of these fields, escaped keys with the types of their values, and a time.

    It takes values as they are: of these types, floats finite, integers within 64 bit.
    """
    forms = ",".join(f"{key.replace('%', '%%')}={_FORMS[kind]}" for key, kind in fields)
    form = f"{series.replace('%', '%%')} {forms} %d"
    texts = [(n, _TEXTS[kind]) for n, (_, kind) in enumerate(fields) if kind in _TEXTS]
    if not texts:
        return lambda values, ts_ns: form % (*values, ts_ns)

    def line(values: Sequence[Value], ts_ns: int) -> str:
        parts = list(values)
        for n, text in texts:
            parts[n] = text(parts[n])
        return form % (*parts, ts_ns)

    return line


def parse(line: str) -> tuple[str, Mapping[str, str], dict[str, Value], int]:
    """Measurement, tags (shared: not to be changed), fields and time (ns) of a line made with the above.

    Raises ValueError where it is no such line.
    """
    try:
        series, rest = _UNESCAPED_SPACE.split(line, 1)
        text, ts_ns = rest.rsplit(" ", 1)
        measurement, tags = _series(series)
        return measurement, tags, _fields(text), int(ts_ns)
    except ValueError:
        raise ValueError(f"cannot read as line protocol: {line[:200]!r}") from None


def with_newlines(body: bytes) -> bytes:
    """Lines made with the above, as InfluxDB reads them: newlines in strings are themselves."""
    return b"\n".join(map(_with_newlines, body.split(b"\n"))) if b"\\n" in body else body


_FORMS: dict[type[Value], str] = {bool: "%s", int: "%di", float: "%r", str: "%s"}
_TEXTS: dict[type[Value], Callable[[Any], str]] = {
    bool: {False: "false", True: "true"}.__getitem__,
    str: field_value,
}


def _named(what: str, text: str) -> str:
    if not text:
        raise ValueError(f"cannot write a line: empty {what}")
    return _AMBIGUOUS_BACKSLASH.sub("/", _CONTROL.sub(" ", text))


def _key(what: str, text: str) -> str:
    return _escape(_named(what, text))


def _escape(text: str) -> str:
    clean = _AMBIGUOUS_BACKSLASH.sub("/", _CONTROL.sub(" ", text))
    return clean.replace(",", "\\,").replace("=", "\\=").replace(" ", "\\ ")


def _with_newlines(line: bytes) -> bytes:
    """A name may hold a backslash and an n: only strings, behind the series, are looked at."""
    series = _SERIES.match(line)
    if b"\\n" not in line or series is None:
        return line
    return series[0] + _STRING.sub(_newlines, line[series.end() :])


def _newlines(string: re.Match[bytes]) -> bytes:
    return _NEWLINE.sub(lambda found: found[1] or b"\n", string[0])


@lru_cache(maxsize=4096)
def _series(text: str) -> tuple[str, Mapping[str, str]]:
    measurement, *pairs = _UNESCAPED_COMMA.split(text)
    tags = dict(_UNESCAPED_EQUALS.split(pair, 1) for pair in pairs)
    return _unescape(measurement), {_unescape(k): _unescape(v) for k, v in tags.items()}


def _fields(text: str) -> dict[str, Value]:
    if '"' not in text and "\\" not in text:
        return {k: _value(v) for k, v in (pair.split("=") for pair in text.split(","))}
    fields: dict[str, Value] = {}
    at = 0
    while at < len(text):
        found = _FIELD.match(text, at)
        if found is None:
            raise ValueError
        fields[_unescape(found[1])] = _value(found[2])
        at = found.end()
    return fields


def _value(text: str) -> Value:
    if text[:1] == '"':
        return _ESCAPED_IN_STRING.sub(lambda m: "\n" if m[1] == "n" else m[1], text[1:-1])
    if text[-1:] == "i":
        return int(text[:-1])
    if text in ("true", "false"):
        return text == "true"
    return float(text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(r"\1", text) if "\\" in text else text
