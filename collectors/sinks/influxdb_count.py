"""What an InfluxDB holds of a collector, counted by its own query language: InfluxQL (1.x) or Flux (2.x).

https://docs.influxdata.com/influxdb/v1/tools/api/#query-http-endpoint
https://docs.influxdata.com/influxdb/v2/api/ (PostQuery, GetBuckets)
https://docs.influxdata.com/influxdb/v2/reference/syntax/annotated-csv/
"""

from __future__ import annotations

import csv
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from collectors.sinks.influxdb_http import connections, credentials

_DURATION = re.compile(r"(\d+)(h|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1}


class Counter:
    """Asks one server. Raises urllib3's HTTPError, :class:`StatusError`, or NotImplementedError with a sentence."""

    def __init__(self, spec: Mapping[str, Any], secret: str, api: str) -> None:
        self._spec = spec
        self._api = api
        self._headers = credentials(spec, secret)
        self._pool = connections(spec, 1)

    def count(self, collector: str, begin_ns: int, end_ns: int) -> int:
        """Field values of a collector in a span."""
        if self._api == "v1":
            policy = f"{_name(self._spec['retentionPolicy'])}." if self._spec.get("retentionPolicy") else ""
            rows = self._influxql(
                f"SELECT count(*) FROM {policy}/.*/ WHERE collector = {_text(collector)}"
                f" AND time >= {begin_ns} AND time < {end_ns}"
            )
            return sum(n for row in rows for key, n in row.items() if key != "time" and n is not None)
        rows = self._flux(
            f"from(bucket: {_flux_text(self._spec['bucket'])})"
            f" |> range(start: time(v: {begin_ns}), stop: time(v: {end_ns}))"
            f" |> filter(fn: (r) => r.collector == {_flux_text(collector)}) |> count() |> group() |> sum()"
        )
        return sum(int(row["_value"]) for row in rows)

    def kept_since(self) -> int:
        """The time (ns) from which on nothing has expired yet; 0 without retention."""
        seconds = self._retention_v1() if self._api == "v1" else self._retention_v2()
        return time.time_ns() - seconds * 10**9 if seconds else 0

    def _retention_v1(self) -> int:
        wanted = self._spec.get("retentionPolicy")
        for row in self._influxql(f"SHOW RETENTION POLICIES ON {_name(self._spec['database'])}"):
            if row["name"] == wanted or (not wanted and row["default"]):
                return sum(int(n) * _SECONDS[unit] for n, unit in _DURATION.findall(str(row["duration"])))
        return 0

    def _retention_v2(self) -> int:
        query = {"name": self._spec["bucket"], "org": self._spec.get("org", "")}
        found = json.loads(self._ask("GET", f"/api/v2/buckets?{urlencode(query)}"))
        rules = [rule for bucket in found["buckets"] for rule in bucket.get("retentionRules", ())]
        return min((int(rule["everySeconds"]) for rule in rules if rule.get("everySeconds")), default=0)

    def _influxql(self, text: str) -> list[dict[str, Any]]:
        query = urlencode({"db": self._spec["database"], "q": text, "epoch": "ns"})
        (result,) = json.loads(self._ask("POST", f"/query?{query}"))["results"]
        if "error" in result:
            raise StatusError(f"the server answered: {result['error']}")
        return [
            dict(zip(series["columns"], row, strict=True))
            for series in result.get("series", ())
            for row in series["values"]
        ]

    def _flux(self, text: str) -> list[dict[str, str]]:
        """Rows of the answer's one table; an error may also come as a table, after status 200."""
        answer = self._ask(
            "POST",
            f"/api/v2/query?{urlencode({'org': self._spec.get('org', '')})}",
            text.encode(),
            {"Content-Type": "application/vnd.flux", "Accept": "application/csv"},
        )
        lines = [line for line in answer.splitlines() if line and not line.startswith("#")]
        rows = list(csv.DictReader(lines))
        if rows and "error" in rows[0]:
            raise StatusError(f"the server answered: {rows[0]['error']}")
        return rows

    def _ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> str:
        url = self._spec["url"].rstrip("/")
        answer = self._pool.request(
            method, url + path, body=body, headers={**self._headers, **(headers or {})}, redirect=False
        )
        text: str = answer.data.decode("utf-8", "replace")
        if "X-Influxdb-Version" not in answer.headers:
            raise NotImplementedError(f"{url} is no InfluxDB that could be asked what it holds")
        if answer.status != 200:
            raise StatusError(f"the server answered {answer.status}: {text.strip()[:300]}")
        return text


class StatusError(Exception):
    """A question that the server refused."""


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _flux_text(text: str) -> str:
    """Not as JSON has it: Flux knows no escapes of Unicode, and puts what ``${}`` holds in its place."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "\\${") + '"'


def _name(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
