"""Devices and sinks: whether something takes a TCP connection there."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from reconciler.desired.check import PORTS
from reconciler.doctor.finding import Finding, fail, ok
from reconciler.model import Manifest

TIMEOUT_S = 3.0
AT_ONCE = 32
URL_PORTS = {"opc.tcp": 4840, "http": 80, "https": 443}

Address = tuple[str, int]


def check_reach(manifests: Mapping[str, Manifest]) -> Iterator[Finding]:
    """A finding for each address, in order; all are tried at once."""
    users: dict[Address, list[str]] = defaultdict(list)
    for name, manifest in sorted(manifests.items()):
        for address in dict.fromkeys(_addresses(manifest)):
            users[address].append(name)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for (address, names), trouble in zip(users.items(), pool.map(_try, users), strict=True):
            where = f"{address[0]}:{address[1]}"
            what = "sink" if manifests[names[0]].kind == "Sink" else "device"
            if trouble is None:
                yield ok(what, f"{where} answers ({', '.join(names)})")
            else:
                yield fail(
                    what,
                    f"cannot reach {where} ({', '.join(names)}): {trouble}; is it on, and the way there?",
                )


def _addresses(manifest: Manifest) -> Iterator[Address]:
    spec = manifest.spec
    for device in spec.get("devices", ()):
        wanted = {**spec.get("deviceDefaults", {}), **device}
        if "host" in wanted:
            yield str(wanted["host"]), int(wanted.get("port", PORTS.get(manifest.type, 0)))
        elif "url" in wanted:
            yield _of_url(str(wanted["url"]))
    if "url" in spec:
        yield _of_url(str(spec["url"]))


def _of_url(url: str) -> Address:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or URL_PORTS.get(parts.scheme, 0)


def _try(address: Address) -> str | None:
    try:
        socket.create_connection(address, TIMEOUT_S).close()
    except TimeoutError:
        return f"no answer within {TIMEOUT_S:g} s"
    except OSError as error:
        return error.strerror or str(error)
    return None
