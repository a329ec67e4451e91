"""What stands at an address, read as every type in every order: for finding out what a manual does not say. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from collectors import protocols
from collectors.model import Address, Tag
from collectors.session import SessionFile
from collectors.spec import CollectorSpec, parse
from collectors.tags import ORDERS, WORDS

SCHEMES = (
    "modbus://host:port/unitId?address=holding:0&count=4 or melsec://host:port?frame=1E&series=FX3&address=D0"
)
COUNT = 4


def manifest_of(url: str) -> dict[str, Any]:
    """A manifest that reads what a URL names: its query gives keys of the device, and address and count of the tag.

    Raises ValueError for what is no such URL; the manifest itself is to be validated as any other.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
        protocol = protocols.load(parts.scheme)
    except (ValueError, LookupError):
        raise ValueError(f"cannot probe {url!r}; write {SCHEMES}") from None
    if isinstance(protocol, SessionFile):
        wrong = "its devices tell their tags by name; write daq browse URL"
        raise ValueError(f"cannot probe {url!r}: {wrong}")  # noqa: TRY004  (the URL is wrong, not a type)
    if not parts.hostname:
        raise ValueError(f"cannot probe {url!r}: it names no host; write {SCHEMES}")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "address" not in query:
        raise ValueError(f"cannot probe {url!r}: it names no address; add ?address=… as in {SCHEMES}")
    address, count = query.pop("address"), query.pop("count", str(COUNT))
    device: dict[str, Any] = {"host": parts.hostname, **{key: _value(text) for key, text in query.items()}}
    if port is not None:
        device["port"] = port
    if path := parts.path.strip("/"):
        if not protocol.URL_PATH:
            raise ValueError(f"cannot probe {url!r}: {path!r} means nothing there; write {SCHEMES}")
        device[protocol.URL_PATH] = _value(path)
    tag = {"name": "probed", "address": address, "count": _value(count)}
    if not _is_bit(parts.scheme, tag, device):
        tag["type"] = "uint16"
    spec = {"type": parts.scheme, "devices": [device], "tags": [tag]}
    return {"apiVersion": "daq/v1", "kind": "Collector", "metadata": {"name": "probe"}, "spec": spec}


def every_reading(spec: Mapping[str, Any]) -> CollectorSpec:
    """The spec of :func:`manifest_of`, valid, to read each of its words as each type in each order.

    The names of its tags are offset, type and order, as ``2 float32 CDAB``.
    """
    parsed = parse("probe", spec)
    (device,) = parsed.devices
    (whole,) = device.tags
    return replace(parsed, devices=(replace(device, tags=tuple(_readings(whole))),))


def _readings(whole: Tag) -> Iterator[Tag]:
    area, first, unit, bit = whole.address
    if whole.type == "bool":
        for n in range(whole.count):
            yield _as(whole, n, "bool", "-", address=Address(area, first + n, unit, bit))
        return
    for kind, width in WORDS.items():
        for n in range(whole.count - width + 1):
            for order in ORDERS if width > 1 else ("ABCD", "BADC"):
                address = Address(area, first + n)
                yield _as(whole, n, kind, order, address=address, width=width, order=order)
    for order in ("ABCD", "BADC"):
        yield _as(whole, 0, "string", order, width=whole.count, order=order, length=2 * whole.count)


def _as(whole: Tag, offset: int, kind: str, shown: str, **over: Any) -> Tag:
    name = f"{offset} {kind} {shown}"
    return replace(whole, **{"name": name, "fields": (name,), "type": kind, "count": 1, **over})


def _is_bit(scheme: str, tag: Mapping[str, Any], device: Mapping[str, Any]) -> bool:
    """Whether the address is that of a bit; one that is none is for validation to tell."""
    protocol = protocols.load(scheme)
    assert not isinstance(protocol, SessionFile)
    try:
        address = protocol.parse_address(tag, {**protocol.DEFAULTS, **device})
    except ValueError:
        return False
    return address.unit == "bit" or address.bit is not None


def _value(text: str) -> int | str:
    """A number as manifests resolve it, else text."""
    try:
        return int(text, 16 if text[:2] in ("0x", "0X") else 10)
    except ValueError:
        return text
