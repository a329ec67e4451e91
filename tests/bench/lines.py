"""A device's readings written as line protocol, beside influxdb-client's Point."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from influxdb_client.client.write.point import Point
from influxdb_client.domain.write_precision import WritePrecision

from collectors.lines import field_key, field_value, parse, series_key
from tests.bench.rows import Row, repeated, side_by_side

LABELS = {"collector": "press-line", "device": "press-1", "hall": "A"}
FIELDS: dict[str, bool | int | float | str] = {
    **{f"zone_{n}": 173.4 + n for n in range(10)},
    **{f"counter_{n}": 1_234_567 + n for n in range(5)},
    **{f"switch_{n}": n % 2 == 0 for n in range(4)},
    "recipe": "GEAR-A4 齿轮",
}
AT_NS = 1_793_480_000_123_456_789


def run() -> list[Row]:
    """One line of 20 fields, names escaped once as the collector does."""
    series = series_key("press", LABELS)
    new_point: Callable[..., Any] = Point
    keys = {name: field_key(name) for name in FIELDS}

    def ours() -> str:
        return f"{series} {','.join(f'{keys[n]}={field_value(v)}' for n, v in FIELDS.items())} {AT_NS}"

    def baseline() -> str:
        point = new_point("press")
        for label, text in LABELS.items():
            point.tag(label, text)
        for name, value in FIELDS.items():
            point.field(name, value)
        return str(point.time(AT_NS, WritePrecision.NS).to_line_protocol())

    assert parse(ours()) == parse(baseline())

    times = side_by_side(repeated(ours), repeated(baseline), 500)
    return [Row("line of 20 fields", "influxdb-client's Point", *times)]
