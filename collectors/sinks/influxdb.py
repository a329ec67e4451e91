"""InfluxDB 2.x through influxdb-client (``bucket``), 1.x and its relatives by ``POST /write`` (``database``).

One request, one answer: retries belong to the sender. Bodies are compressed here at level 1;
influxdb-client's own compression works at level 9 and costs sixteen times the CPU, so the finished body
goes through its write service with ``Content-Encoding`` set.

What answers mean: https://docs.influxdata.com/influxdb/v2/api/ (PostWrite) and, for 1.x,
https://docs.influxdata.com/influxdb/v1/tools/api/#write-http-endpoint.
"""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from collectors.contract import SpecFile, StateDir
from collectors.lines import with_newlines
from collectors.secret import Secret, SecretError
from collectors.sinks import Result, SinkError
from collectors.sinks.influxdb_count import Counter, StatusError
from collectors.sinks.influxdb_http import connections, credentials, is_influxdb, reason, timeout_s, verifies

Post = Callable[[bytes], Result]
"""Send one body; raises SinkError, or urllib3's HTTPError where there was no answer."""

_DROPPED = re.compile(r"dropped=(\d+)")
_ABOUT_LINES = re.compile(
    r"pars|line protocol|malformed|(invalid|missing|bad) (field|number|tag|timestamp|measurement|boolean)"
)
_HELD = {401: "Unauthorized", 403: "Forbidden", 404: "DatabaseNotFound"}


def open_sink(file: SpecFile, _state: StateDir) -> InfluxSink:
    """A sink for the api the spec names or implies. Raises ValueError."""
    spec, directory = dict(file.spec), Path(file.directory)
    if ca := spec.get("tls", {}).get("ca"):
        spec["tls"] = {**spec["tls"], "ca": str(directory / ca)}
    api = spec.get("api", "v1" if "database" in spec else "v2")
    if not (spec.get("database") or spec.get("bucket")):
        raise ValueError(f"cannot open sink {file.name}: spec needs a bucket (2.x) or a database (1.x)")
    return InfluxSink(spec, directory, api)


class InfluxSink:
    """Reads its secret and connects at the first write, and again after a refusal that asks to hold."""

    at_once = 2  # while one body is stored the next is compressed and on its way

    def __init__(self, spec: Mapping[str, Any], directory: Path, api: str) -> None:
        self._spec = spec
        self._api = api
        self._connect = _v1 if api == "v1" else _v2
        source = spec.get("token") or spec.get("password")
        self._secret = Secret(source, directory) if source else None
        self._post: Post | None = None
        self._takes_newlines: bool | None = None

    def write(self, body: bytes) -> Result:
        """Post the lines. Raises SinkError, its message free of the secret."""
        with self._telling():
            if b"\\n" in body and self._reads_newlines():
                body = with_newlines(body)
            if self._spec.get("gzip", True):
                body = gzip.compress(body, 1)
            if self._post is None:
                self._post = self._connect(self._spec, self._read_secret())
            post = self._post
            try:
                return post(body)
            except SinkError as error:
                if error.answer == "hold" and self._post not in (post, None):
                    # Another thread has read a newer secret meanwhile: this refusal is out of date.
                    raise SinkError("retry", error.reason, error.message) from None
                if error.answer == "hold":
                    self._post = None
                raise

    def changed(self) -> bool:
        """Whether the secret can be read and is another than last time."""
        return self._secret is not None and self._secret.changed()

    def count(self, collector: str, begin_ns: int, end_ns: int) -> int:
        """Field values it holds of a collector. Raises SinkError, NotImplementedError."""
        with self._telling():
            return self._counter().count(collector, begin_ns, end_ns)

    def kept_since(self) -> int:
        """What its retention policy or bucket says. Raises SinkError, NotImplementedError."""
        with self._telling():
            return self._counter().kept_since()

    def close(self) -> None:
        """Let go of the connections."""
        self._post = None

    def _counter(self) -> Counter:
        return Counter(self._spec, self._read_secret(), self._api)

    def _reads_newlines(self) -> bool:
        if self._takes_newlines is None:
            self._takes_newlines = is_influxdb(self._spec)
        return bool(self._takes_newlines)

    def _read_secret(self) -> str:
        return self._secret.read() if self._secret else ""

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Whatever goes wrong becomes a SinkError, its message free of the secret."""
        try:
            yield
        except SecretError as error:
            raise SinkError("hold", "SecretUnreadable", str(error)) from None
        except urllib3.exceptions.HTTPError as error:
            message = f"cannot reach {self._spec['url']}: {self._redact(reason(error))}"
            raise SinkError("retry", "Unreachable", message) from None
        except StatusError as error:
            raise SinkError("hold", "NotCounted", self._redact(str(error))) from None
        except SinkError as error:
            raise SinkError(
                error.answer, error.reason, self._redact(error.message), error.retry_after_s
            ) from None

    def _redact(self, text: str) -> str:
        return self._secret.redact(text) if self._secret else text


def read_answer(status: int, retry_after: str | None, text: str) -> Result:
    """What a server's answer to a write means. Raises SinkError for all but success."""
    said = f"the server answered {status}: {text.strip()[:300]}"
    dropped = _DROPPED.search(text)
    if status < 300:
        return Result()
    if status in (400, 422) and dropped and int(dropped[1]) and "unable to parse" not in text:
        return Result(rejected_lines=int(dropped[1]), message=said)
    if status == 422 or (status == 400 and _ABOUT_LINES.search(text.lower())):
        raise SinkError("malformed", "Malformed", said)
    if status == 413:
        raise SinkError("too large", "TooLarge", said)
    if status == 429:
        raise SinkError("retry", "TooManyRequests", said, _seconds(retry_after))
    if status == 500:
        raise SinkError("failing", "ServerError", said, _seconds(retry_after))
    if status > 500:
        raise SinkError("retry", "Unavailable", said, _seconds(retry_after))
    # An unexplained 400 condemns no line: all of them would end as dead letters.
    raise SinkError("hold", _HELD.get(status, "UnexpectedAnswer"), said)


def _seconds(retry_after: str | None) -> float:
    """RFC 9110 10.2.3: seconds or a date; 0 where it is neither."""
    if not retry_after:
        return 0.0
    try:
        if retry_after.isdigit():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _encoding(spec: Mapping[str, Any]) -> dict[str, str]:
    return {"content_encoding": "gzip"} if spec.get("gzip", True) else {}


def _v1(spec: Mapping[str, Any], password: str) -> Post:
    headers = {k.replace("_", "-"): v for k, v in _encoding(spec).items()} | credentials(spec, password)
    pool = connections(spec, InfluxSink.at_once)
    query = {"db": spec.get("database") or spec["bucket"], "precision": "ns"}
    if policy := spec.get("retentionPolicy"):
        query["rp"] = policy
    url = f"{spec['url'].rstrip('/')}/write?{urlencode(query)}"

    def post(body: bytes) -> Result:
        answer = pool.request("POST", url, body=body, headers=headers, redirect=False)
        return read_answer(
            answer.status, answer.headers.get("Retry-After"), answer.data.decode("utf-8", "replace")
        )

    return post


def _v2(spec: Mapping[str, Any], token: str) -> Post:
    # Importing it takes 0.25 s and 30 MB, which a v1 sink need not pay.
    from influxdb_client.client.influxdb_client import InfluxDBClient  # noqa: PLC0415
    from influxdb_client.rest import ApiException  # noqa: PLC0415
    from influxdb_client.service.write_service import WriteService  # noqa: PLC0415

    tls = spec.get("tls", {})
    client = InfluxDBClient(
        spec["url"],
        token,
        org=spec.get("org", ""),
        timeout=int(timeout_s(spec) * 1000),
        verify_ssl=verifies(spec),
        ssl_ca_cert=tls.get("ca"),
        connection_pool_maxsize=InfluxSink.at_once,
    )
    # 1.8 speaks v2 too; there a bucket is called database/policy.
    bucket = spec.get("bucket") or f"{spec['database']}/{spec.get('retentionPolicy', '')}"
    service: Any = WriteService(client.api_client)  # type: ignore[no-untyped-call]

    def post(body: bytes) -> Result:
        try:
            service.post_write(
                org=spec.get("org", ""), bucket=bucket, body=body, precision="ns", **_encoding(spec)
            )
        except ApiException as error:
            if not error.status:  # how the client reports a TLS failure
                raise urllib3.exceptions.HTTPError(str(error.reason)) from None
            retry_after = error.headers.get("Retry-After") if error.headers else None
            return read_answer(error.status, retry_after, str(error.body or error.reason))
        return Result()

    return post
