"""The requests that a collector will send, and whether they fit its interval. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby

from collectors import protocols
from collectors.blocks import group
from collectors.contract import DeviceReport
from collectors.model import Block, Device, ProtocolFile
from collectors.session import SessionFile
from collectors.spec import CollectorSpec


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One request: ``every_s`` the slots it is sent in; ``fill`` the share of what it reads that tags want."""

    device: str
    every_s: float
    function: str
    range: str
    count: int
    unit: str
    tags: tuple[str, ...]
    fill: float


@dataclass(frozen=True, slots=True)
class WireLink:
    """The fullest cycle of one connection: ``cycle_s`` is ``measured`` where its collector has run, else estimated."""

    link: str
    devices: int
    requests: int
    cycle_s: float
    interval_s: float
    measured: bool


@dataclass(frozen=True, slots=True)
class Wire:
    """All requests of a collector, and what they come to on each of its connections."""

    requests: tuple[WireRequest, ...]
    links: tuple[WireLink, ...]


def wire(spec: CollectorSpec, reports: Mapping[str, DeviceReport]) -> Wire | None:
    """What a collector sends; `reports` of its devices by name, as far as there are. None where a server sends."""
    protocol = protocols.load(spec.type)
    if isinstance(protocol, SessionFile):
        return None
    requests = [request for device in spec.devices for request in _requests(protocol, spec, device)]
    links = [
        _link(protocol, spec, list(devices), requests, reports)
        for _, devices in groupby(sorted(spec.devices, key=lambda d: d.link), key=lambda d: d.link)
    ]
    return Wire(tuple(requests), tuple(links))


def _requests(protocol: ProtocolFile, spec: CollectorSpec, device: Device) -> Iterator[WireRequest]:
    """Those of each period's slots, in which all tags are due whose period divides it."""
    for every in sorted({tag.every for tag in device.tags}):
        due = [tag for tag in device.tags if every % tag.every == 0]
        for block in group(due, device.limits):
            function, span = protocol.describe(device, block)
            names = tuple(piece.tag.name for piece in block.pieces)
            every_s = every * spec.interval_ms / 1000
            yield WireRequest(
                device.name, every_s, function, span, block.count, block.unit, names, round(_fill(block), 3)
            )


def _fill(block: Block) -> float:
    wanted = {
        at
        for piece in block.pieces
        for at in range(piece.offset, piece.offset + piece.count * piece.tag.width)
    }
    return len(wanted) / block.count


def _link(
    protocol: ProtocolFile,
    spec: CollectorSpec,
    devices: list[Device],
    requests: list[WireRequest],
    reports: Mapping[str, DeviceReport],
) -> WireLink:
    count = 0
    cycle_s = 0.0
    for device in devices:
        own = [request for request in requests if request.device == device.name]
        fullest = sum(request.every_s == max(r.every_s for r in own) for request in own)
        count += fullest
        cycle_s += fullest * (protocol.REQUEST_S + device.pause_s)
    found = [reports[device.name] for device in devices if device.name in reports]
    measured = len(found) == len(devices) and all(report.cycle_ms for report in found)
    if measured:
        cycle_s = sum(report.cycle_ms for report in found) / 1000
    link = devices[0].link
    return WireLink(
        f"{link.host}:{link.port} ({link.transport})",
        len(devices),
        count,
        round(cycle_s, 4),
        spec.interval_ms / 1000,
        measured,
    )
