"""What each host of a fleet says of itself, all asked at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from reconciler.desired.yamltext import YamlError, parse_documents
from reconciler.fleet.nodes import FleetError, Host, parse_fleet

TIMEOUT_S = 5.0
AT_ONCE = 16
LIMIT_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """The status objects and the summary of a host, or why there are none."""

    host: Host
    processes: Sequence[Mapping[str, Any]] = ()
    summary: Mapping[str, Any] | None = None
    error: str | None = None


def read_fleet(path: Path) -> list[Host]:
    """The hosts a file names. Raises FleetError."""
    try:
        documents = parse_documents(path.read_bytes())
    except OSError as error:
        raise FleetError(f"cannot read {path}: {error.strerror}") from None
    except YamlError as error:
        raise FleetError(f"{path}:{error.line}:{error.column}: {error.message}") from None
    try:
        return parse_fleet(documents[0].value if documents else None)
    except FleetError as error:
        raise FleetError(f"{path}: {error}") from None


def ask_all(hosts: Sequence[Host], directory: Path) -> Iterator[Answer]:
    """In the order of the hosts; files of tokens are relative to `directory`."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda host: _ask(host, directory), hosts)


def _ask(host: Host, directory: Path) -> Answer:
    try:
        headers = _headers(host, directory)
        with urllib3.PoolManager(timeout=TIMEOUT_S, retries=False) as pool:
            processes = _get(pool, f"{host.url}/api/processes", headers)
            summary = _get(pool, f"{host.url}/api/processes/stats/summary", headers)
    except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
        return Answer(host, error=f"cannot reach {host.url}: {_plainly(error)}")
    return Answer(host, processes, summary)


def _get(pool: urllib3.PoolManager, url: str, headers: Mapping[str, str]) -> Any:
    answer = pool.request("GET", url, headers=headers, redirect=False, preload_content=False)
    try:
        body = answer.read(LIMIT_BYTES)
    finally:
        answer.release_conn()
    if answer.status != 200:
        raise ValueError(
            f"it answered {answer.status}" + (": is the token right?" if answer.status == 401 else "")
        )
    return json.loads(body)


def _headers(host: Host, directory: Path) -> dict[str, str]:
    if host.token is None:
        return {}
    if "env" in host.token:
        if host.token["env"] not in os.environ:
            raise ValueError(f"the variable {host.token['env']} of its token is not set")
        token = os.environ[host.token["env"]]
    else:
        token = (directory / host.token["file"]).read_text()
    return {"Authorization": f"Bearer {token.strip()}"}


def _plainly(error: Exception) -> str:
    """The cause, without the classes and the number around it."""
    refused = isinstance(error, urllib3.exceptions.NewConnectionError)  # to urllib3 that is a time-out, too
    if isinstance(error, urllib3.exceptions.TimeoutError) and not refused:
        return f"no answer within {TIMEOUT_S:g} s"
    text = str(error)
    if isinstance(error, urllib3.exceptions.HTTPError):
        text = text.rpartition(": ")[2]
    return re.sub(r"^\[Errno -?\d+\] ", "", text)
