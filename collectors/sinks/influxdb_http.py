"""The connections of an InfluxDB sink: time-outs, certificates, who we are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import urllib3

from collectors.quantities import parse_duration


def connections(spec: Mapping[str, Any], at_once: int) -> urllib3.PoolManager:
    """A pool of as many connections, as the sink's spec wants them; it retries nothing."""
    tls = spec.get("tls", {})
    return urllib3.PoolManager(
        maxsize=at_once,
        cert_reqs="CERT_REQUIRED" if verifies(spec) else "CERT_NONE",
        ca_certs=tls.get("ca"),
        timeout=urllib3.Timeout(total=timeout_s(spec)),
        retries=False,
    )


def reason(error: BaseException) -> str:
    """Why there was no answer: what the system says underneath, as ``Connection refused``, else urllib3's own words."""
    cause = (
        error.__cause__ or error.__context__ or next((a for a in error.args if isinstance(a, OSError)), None)
    )
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return "no answer in time" if isinstance(error, urllib3.exceptions.TimeoutError) else str(error)


def verifies(spec: Mapping[str, Any]) -> bool:
    """Whether the server's certificate is checked; where the manifest says no, urllib3 need not say it again."""
    wanted: bool = spec.get("tls", {}).get("verify", True)
    if not wanted:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    return wanted


def timeout_s(spec: Mapping[str, Any]) -> float:
    """How long to wait for an answer."""
    return parse_duration(spec.get("timeout", "10s"))


def credentials(spec: Mapping[str, Any], secret: str) -> dict[str, str]:
    """The header that says who we are: user and password (1.x) or a token (2.x); none without either."""
    if spec.get("username"):
        return dict(urllib3.make_headers(basic_auth=f"{spec['username']}:{secret}"))
    return {"Authorization": f"Token {secret}"} if secret and spec.get("token") else {}


def is_influxdb(spec: Mapping[str, Any]) -> bool | None:
    """Whether it is InfluxDB itself, by the ``X-Influxdb-Build`` of its ``/ping``; None where that fails.

    Its relatives need not take a newline in a string: VictoriaMetrics answers 204 and loses the whole line.
    Raises urllib3's HTTPError.
    """
    answer = connections(spec, 1).request("GET", f"{spec['url'].rstrip('/')}/ping", redirect=False)
    return "X-Influxdb-Build" in answer.headers if answer.status < 300 else None
