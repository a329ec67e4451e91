"""A device's readings written as line protocol, beside influxdb-client's Point."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from influxdb_client.client.write.point import Point
from influxdb_client.domain.write_precision import WritePrecision

from collectors.lines import field_key, line_of, parse, series_key
from tests.bench.rows import Goal, Row, repeated, side_by_side

LABELS = {"collector": "press-line", "device": "press-1", "hall": "A"}
FIELDS: dict[str, bool | int | float | str] = {
    **{f"zone_{n}": 173.4 + n for n in range(10)},
    **{f"counter_{n}": 1_234_567 + n for n in range(5)},
    **{f"switch_{n}": n % 2 == 0 for n in range(4)},
    "recipe": "GEAR-A4 齿轮",
}
AT_NS = 1_793_480_000_123_456_789


def run() -> list[Row]:
    """One line of one field, of ten typed ones and of twenty, names escaped once as the collector does."""
    ten = {n: FIELDS[n] for n in ("zone_0", "zone_1", "zone_2", "zone_3", "counter_0", "counter_1", "counter_2",
                                  "switch_0", "switch_1", "recipe")}  # fmt: skip
    one = {"zone_0": FIELDS["zone_0"]}
    return [
        _measured("line of 1 field", one, Goal(times=15)),
        _measured("line of 10 typed fields", ten, Goal(times=3.5)),
        _measured("line of 20 fields", FIELDS),
    ]


def _measured(what: str, fields: Mapping[str, bool | int | float | str], goal: Goal | None = None) -> Row:
    series = series_key("press", LABELS)
    new_point: Callable[..., Any] = Point
    write = line_of(series, [(field_key(name), type(value)) for name, value in fields.items()])
    values = tuple(fields.values())

    def ours() -> str:
        return write(values, AT_NS)

    def baseline() -> str:
        point = new_point("press")
        for label, text in LABELS.items():
            point.tag(label, text)
        for name, value in fields.items():
            point.field(name, value)
        return str(point.time(AT_NS, WritePrecision.NS).to_line_protocol())

    assert parse(ours()) == parse(baseline())
    times = side_by_side(repeated(ours), repeated(baseline), 2000)
    return Row(what, "influxdb-client's Point", *times, goal=goal)
