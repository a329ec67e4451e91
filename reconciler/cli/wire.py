"""What `daq diff --wire` adds: the requests that each collector sends."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from collectors.contract import DeviceReport, Report, StateDir, read_json
from reconciler.cli.text import columns, table
from reconciler.model import Desired

if TYPE_CHECKING:
    from collectors.wire import Wire, WireLink

HEADER = ("DEVICE", "EVERY", "FUNCTION", "RANGE", "COUNT", "FILL", "TAGS")
TAGS_SHOWN = 4


def wires(state: StateDir, desired: Desired, names: Collection[str]) -> Mapping[str, Wire | None]:
    """The requests of each collector with devices, by name; None where its devices send by themselves."""
    from collectors.spec import parse
    from collectors.wire import wire

    return {
        name: wire(parse(name, manifest.given), _reports(state, name, manifest.digest))
        for name, manifest in sorted(desired.manifests.items())
        if manifest.kind == "Collector" and manifest.type != "exec" and (not names or name in names)
    }


def _reports(state: StateDir, name: str, digest: str) -> Mapping[str, DeviceReport]:
    """What was measured of these very requests, by device."""
    try:
        report = Report.from_json(read_json(state.report(name)))
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {device.name: device for device in report.devices} if report.digest == digest else {}


def as_text(found: Mapping[str, Wire | None]) -> str:
    """A table for each collector, and a sentence for each of its connections."""
    parts = []
    for name, wire in found.items():
        if wire is None:
            parts.append(f"{name}: its devices send by themselves, or are read item by item")
            continue
        rows = [
            (
                request.device,
                f"{request.every_s:g}s",
                request.function,
                request.range,
                f"{request.count} {request.unit}s",
                f"{request.fill:.0%}",
                _tags(request.tags),
            )
            for request in wire.requests
        ]
        parts.append(
            "\n".join(
                [
                    f"{name}:",
                    table(HEADER, rows, fit=columns(), elastic=len(HEADER) - 1),
                    *map(_sentence, wire.links),
                ]
            )
        )
    return "\n\n".join(parts)


def as_json(found: Mapping[str, Wire | None]) -> dict[str, Any]:
    """The same as an object."""
    return {name: asdict(wire) if wire else None for name, wire in found.items()}


def _tags(names: tuple[str, ...]) -> str:
    more = len(names) - TAGS_SHOWN
    return ", ".join(names[:TAGS_SHOWN]) + (f", {more} more" if more > 0 else "")


def _sentence(link: WireLink) -> str:
    share = link.cycle_s / link.interval_s
    how = "measured" if link.measured else "estimated"
    late = "; it does not fit: cycles will be missed" if share > 1 else ""
    requests = "1 request" if link.requests == 1 else f"{link.requests} requests"
    return (
        f"{link.link}: {requests} of the fullest cycle: {link.cycle_s * 1000:.3g} ms ({how}), "
        f"{share:.0%} of {link.interval_s:g} s{late}"
    )
