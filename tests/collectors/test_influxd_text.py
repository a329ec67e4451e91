"""Line protocol against influxd itself: whatever names, labels and strings hold comes back equal."""

from __future__ import annotations

import itertools
import math
import re
import urllib.request

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from collectors.lines import Value, field_key, field_value, parse, series_key, with_newlines
from tests.databases import Influx

DATABASES = itertools.count()
NOW = 1_793_480_000 * 10**9

any_text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
awkward = st.text(
    st.sampled_from(list(",= \"'\\#\n\r\t/{}[]%.*+|()ü压°\u2028\u0000😀")), min_size=1, max_size=8
)
texts = any_text | awkward
values: st.SearchStrategy[Value] = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    texts,
    st.just(""),
)
RESERVED = {"time", "_field", "_measurement"}
"""Names that InfluxDB keeps for itself."""


def named(text: str) -> str:
    """A name as documented in lines.py: control characters and a backslash that would escape are replaced."""
    return re.sub(r'\\(?=[\\,= "]|\Z)', "/", re.sub(r"[\x00-\x1f\x7f]", " ", text))


@settings(
    max_examples=25,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(st.tuples(texts, texts, texts, texts, values), min_size=20, max_size=40).map(
        lambda rows: [r for r in rows if not {named(r[1]), named(r[3])} & RESERVED]
    )
)
def test_all_of_unicode_comes_back_from_influxd_equal(
    influx: Influx, rows: list[tuple[str, str, str, str, Value]]
) -> None:
    database = f"text{next(DATABASES)}"
    influx.query(f"CREATE DATABASE {database}")
    body = []
    for n, (measurement, tag, label, name, value) in enumerate(rows):
        # One type and one meaning for each name, whatever else is in the batch: what was drawn stands behind a number.
        series = series_key(f"m{n}{measurement}", {f"t{n}{tag}": label})
        body.append(f"{series} {field_key(f'f{n}{name}')}={field_value(value)} {NOW + n}")
    data = with_newlines("\n".join(body).encode())
    url = f"{influx.url}/write?db={database}&precision=ns"
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=10) as answer:
        assert answer.status == 204, answer.read()
    for n, (measurement, tag, label, name, value) in enumerate(rows):
        quoted = named(f"m{n}{measurement}").replace("\\", "\\\\").replace('"', '\\"')
        (row,) = influx.query(f'SELECT * FROM "{quoted}"', database)
        if isinstance(value, float):
            row[named(f"f{n}{name}")] = float(row[named(f"f{n}{name}")])  # JSON has 5e16 as an integer
        wanted = {"time": NOW + n, named(f"t{n}{tag}"): named(label), named(f"f{n}{name}"): value}
        assert row == wanted
        kind = row[named(f"f{n}{name}")]
        assert isinstance(kind, bool) == isinstance(value, bool)
        assert isinstance(kind, str) == isinstance(value, str)
        assert not isinstance(value, float) or math.copysign(1, kind) == math.copysign(1, value)
        assert parse(body[n])[2] == {named(f"f{n}{name}"): value}
    influx.query(f"DROP DATABASE {database}")
