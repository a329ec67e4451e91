"""What a manifest says that means something else in a pod than on a host, or that no rendering can bring there."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from reconciler.model import LOCAL_SINK, Manifest


def cautions(manifest: Manifest, sinks: Sequence[Manifest]) -> list[str]:
    """A sentence for each, about a collector and the sinks it writes to."""
    return list(
        dict.fromkeys([*_of_collector(manifest), *(text for sink in sinks for text in _of_sink(sink))])
    )


def _of_collector(manifest: Manifest) -> Iterator[str]:
    defaults = manifest.spec.get("deviceDefaults", {})
    for device in manifest.spec.get("devices", ()):
        wanted = {**defaults, **device}
        yield from _here(manifest.name, str(wanted.get("host") or wanted.get("url")))
        if certificate := wanted.get("security", {}).get("certificate"):
            yield f"{manifest.name}: {certificate} has to be in the image"
    if manifest.type == "exec":
        needed = ["its program", *manifest.spec.get("configFiles", ())]
        yield f"{manifest.name}: {', '.join(needed)} must be in the image; relative paths start at /etc/daq"


def _of_sink(sink: Manifest) -> Iterator[str]:
    if sink.name == LOCAL_SINK:
        yield "local: the database lies on the volume of this pod alone; declare a Sink that all write to"
    if url := sink.spec.get("url"):
        yield from _here(sink.name, url)
    if ca := sink.spec.get("tls", {}).get("ca"):
        yield f"{sink.name}: {ca} has to be in the image"


def _here(name: str, address: str) -> Iterator[str]:
    host = (urlsplit(address).hostname if "://" in address else address) or ""
    if _is_loopback(host):
        yield f"{name}: {address} is the pod itself there; write the address that others reach it by"


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host.rstrip(".").lower() == "localhost" or host.lower().endswith(".localhost")
    return address.is_loopback or address.is_unspecified
