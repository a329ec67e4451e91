"""The requests that a collector will send, told beforehand."""

from __future__ import annotations

from typing import Any

from collectors.contract import DeviceReport
from collectors.spec import parse
from collectors.wire import Wire, wire


def told(protocol: str, device: dict[str, Any], *tags: dict[str, Any], **reports: float) -> Wire:
    spec = {
        "type": protocol,
        "interval": "1s",
        "devices": [{"name": "d", "host": "h", **device}],
        "tags": list(tags),
    }
    found = wire(
        parse("c", spec), {name: DeviceReport(name, "", cycle_ms=ms) for name, ms in reports.items()}
    )
    assert found
    return found


def tag(name: str, address: str, kind: str = "uint16", **over: Any) -> dict[str, Any]:
    return {"name": name, "address": address, "type": kind, **over}


def test_each_request_is_told_with_function_range_count_tags_and_fill() -> None:
    tags = [tag("a", "40001"), tag("b", "40004", "float32"), tag("c", "coil:3", "bool")]
    assert [
        (r.function, r.range, r.count, r.unit, r.tags, r.fill) for r in told("modbus", {}, *tags).requests
    ] == [
        ("01 coils", "coil:3", 1, "bit", ("c",), 1.0),
        ("03 holding registers", "holding:0-4", 5, "word", ("a", "b"), 0.6),
    ]


def test_melsec_requests_are_told_as_its_series_numbers_devices() -> None:
    tags = [
        tag("x", "X17", "bool"),
        *(tag(f"m{n}", f"M{n}", "bool") for n in range(0, 40, 13)),
        tag("d", "D9"),
    ]
    device = {"frame": "1E", "series": "FX3U"}
    assert [(r.function, r.range) for r in told("melsec", device, *tags).requests] == [
        ("1E 01 words", "D9"),
        ("1E 01 words", "M0-M39"),
        ("1E 00 bits", "X17"),
    ]


def test_slow_tags_join_the_requests_of_their_own_slots_only() -> None:
    found = told("modbus", {}, tag("fast", "40001"), tag("slow", "40002", every="10s"))
    assert [(r.every_s, r.tags) for r in found.requests] == [(1.0, ("fast",)), (10.0, ("fast", "slow"))]


def test_a_cycle_is_estimated_until_it_was_measured() -> None:
    tags = [tag(f"t{n}", f"holding:{100 * n}") for n in range(100)]
    (link,) = told("modbus", {"pause": "10ms"}, *tags).links
    assert (link.link, link.requests, link.cycle_s, link.measured) == ("h:502 (tcp)", 100, 3.0, False)
    assert link.cycle_s > link.interval_s, "and that it does not fit is seen"
    (link,) = told("modbus", {}, *tags, d=80.0).links
    assert (link.cycle_s, link.measured) == (0.08, True)


def test_units_of_one_connection_are_one_link_and_their_requests_add_up() -> None:
    devices = [{"name": f"u{n}", "host": "h", "unitId": n} for n in range(1, 4)]
    found = wire(parse("c", {"type": "modbus", "devices": devices, "tags": [tag("a", "40001")]}), {})
    assert found
    (link,) = found.links
    assert (link.devices, link.requests, link.cycle_s) == (3, 3, 0.06)


def test_of_a_protocol_whose_devices_send_by_themselves_there_is_nothing_to_tell() -> None:
    tags = [{"name": "t", "node": "ns=2;i=5"}]
    spec = {"type": "opcua", "devices": [{"name": "d", "url": "opc.tcp://h:4840"}], "tags": tags}
    assert wire(parse("c", spec), {}) is None
