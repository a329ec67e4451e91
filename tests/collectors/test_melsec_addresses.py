"""What a MELSEC manifest may say, and what a wrong one is told."""

from __future__ import annotations

from typing import Any

import pytest

from collectors.contract import check_spec
from collectors.model import Address, Device, Limits
from collectors.protocols.melsec_devices import parse_series
from collectors.spec import parse

DEVICE = {"host": "h", "frame": "3E", "series": "Q"}


def spec(*tags: dict[str, Any], **device: Any) -> dict[str, Any]:
    return {"type": "melsec", "interval": "1s", "devices": [{**DEVICE, **device}], "tags": list(tags)}


def device(*tags: dict[str, Any], **over: Any) -> Device:
    (found,) = parse("p", spec(*tags or ({"name": "x", "address": "D0", "type": "int16"},), **over)).devices
    return found


@pytest.mark.parametrize(
    ("address", "series", "expected"),
    [
        ("D100", "Q", Address("D", 100)),
        ("d100", "Q", Address("D", 100)),
        ("D0100", "Q", Address("D", 100)),
        ("W1F", "Q", Address("W", 0x1F)),
        ("R0", "Q", Address("R", 0)),
        ("ZR100", "Q", Address("ZR", 100)),
        ("TN0", "Q", Address("TN", 0)),
        ("CN250", "Q", Address("CN", 250)),
        ("STN5", "Q", Address("SN", 5)),
        ("SD0", "Q", Address("SD", 0)),
        ("SW1F", "Q", Address("SW", 0x1F)),
        ("D100.F", "Q", Address("D", 100, "word", 15)),
        ("D100.a", "Q", Address("D", 100, "word", 10)),
        ("D100.0", "Q", Address("D", 100, "word", 0)),
        ("X1A", "Q", Address("X", 0x1A, "bit")),
        ("XFFF", "L", Address("X", 0xFFF, "bit")),
        ("X17", "FX5U", Address("X", 0o17, "bit")),
        ("Y45", "iQ-R", Address("Y", 0x45, "bit")),
        ("Y45", "FX3U", Address("Y", 0o45, "bit")),
        ("M100", "FX3G", Address("M", 100, "bit")),
        ("B1F", "Q", Address("B", 0x1F, "bit")),
        ("BC0", "Q", Address("B", 0xC0, "bit")),
        ("SB1F", "Q", Address("SB", 0x1F, "bit")),
        ("DX1F", "Q", Address("DX", 0x1F, "bit")),
        ("L0", "Q", Address("L", 0, "bit")),
        ("F0", "Q", Address("F", 0, "bit")),
        ("S0", "FX3U", Address("S", 0, "bit")),
        ("SM400", "Q", Address("SM", 400, "bit")),
        ("TS3", "Q", Address("TS", 3, "bit")),
    ],
)
def test_an_address_is_read_as_its_series_numbers_it(address: str, series: str, expected: Address) -> None:
    one_bit = expected.unit == "bit" or expected.bit is not None
    read = device({"name": "x", "address": address, "type": "bool" if one_bit else "int16"}, series=series)
    assert read.tags[0].address == expected


@pytest.mark.parametrize(
    ("plate", "series"),
    [
        ("FX3U", "FX3"), ("FX3UC-32MT", "FX3"), ("FX3G", "FX3"), ("FX5U", "iQ-F"), ("fx5uj", "iQ-F"),
        ("iQ-F", "iQ-F"), ("QnU", "Q"), ("Q03UDECPU", "Q"), ("Q00J", "Q"), ("Q", "Q"), ("Q2ASH", "QnA"),
        ("QnA", "QnA"), ("L26CPU-BT", "L"), ("LnCPU", "L"), ("iQ-R", "iQ-R"), ("R08ENCPU", "iQ-R"),
        ("A", "A"), ("A2USH", "A"),
    ],
)  # fmt: skip
def test_the_name_on_the_plate_is_a_series(plate: str, series: str) -> None:
    assert parse_series(plate) == series


@pytest.mark.parametrize(
    ("how", "limits"),
    [
        (("1E", "binary", "FX3U"), Limits(64, 497, 32)),
        (("1E", "ascii", "Q"), Limits(256, 2033, 32)),
        (("3E", "binary", "Q"), Limits(960, 15345, 32)),
        (("4E", "ascii", "FX5U"), Limits(480, 7665, 32)),
        (("3E", "binary", "QnA"), Limits(480, 7665, 32)),
    ],
)
def test_the_series_and_frame_decide_what_a_request_may_hold(
    how: tuple[str, str, str], limits: Limits
) -> None:
    frame, code, series = how
    assert device(frame=frame, code=code, series=series).limits == limits


NOTATION = "write a device and its number, such as D100, M10, X1A or TN0"


@pytest.mark.parametrize(
    ("tag", "over", "where", "message"),
    [
        ({"address": "D100.10"}, {}, "address",
         "'D100.10': a bit is one hexadecimal digit; write D100.A for bit 10"),
        ({"address": "D100.G"}, {}, "address",
         "'D100.G': .G is no bit of a word; write .0 (least significant) to .F"),
        ({"address": "T0"}, {}, "address",
         "'T0' does not say what of it: write TN0 for its current value, TS0 for its contact or "
         "TC0 for its coil"),
        ({"address": "C10"}, {}, "address",
         "'C10' does not say what of it: write CN10 for its current value, CS10 for its contact or "
         "CC10 for its coil"),
        ({"address": "40001"}, {}, "address", f"'40001' is no MELSEC address; {NOTATION}"),
        ({"address": "Q5"}, {}, "address", f"'Q5' is no MELSEC address; {NOTATION}"),
        ({"address": "D"}, {}, "address", f"'D' is no MELSEC address; {NOTATION}"),
        ({"address": "X18"}, {"series": "FX5U"}, "address",
         "'X18': X is numbered in octal on iQ-F, and 18 is no such number"),
        ({"address": "D1F"}, {}, "address", "'D1F': D is numbered in decimal on Q, and 1F is no such number"),
        ({"address": "M1.2"}, {}, "address", "'M1.2' selects a bit of what is one bit already; leave out .2"),
        ({"address": "SM400"}, {"frame": "1E", "series": "FX3U"}, "address",
         "'SM400' cannot be read with frame 1E, which has no SM; write M8000 and up"),
        ({"address": "SD0"}, {"frame": "1E"}, "address",
         "'SD0' cannot be read with frame 1E, which has no SD; write D9000 and up"),
        ({"address": "ZR0"}, {"frame": "1E"}, "address",
         "'ZR0' cannot be read with frame 1E, which has no ZR"),
        ({"address": "CN200"}, {"frame": "1E", "series": "FX3U"}, "address",
         "'CN200' is a counter of 32 bits on FX3; read it as int32 or uint32"),
        ({"address": "M1"}, {}, "type", "M1 is one bit, which is type bool, not int16"),
        ({"address": "D1", "type": "bool"}, {}, "type",
         "bool needs one bit of the word; write address: D1.0 to .F"),
        ({"address": "D1", "type": "string", "length": 200}, {"frame": "1E", "series": "FX3U"}, "length",
         "one value of 100 words does not fit a request of 64"),
    ],
)  # fmt: skip
def test_a_wrong_tag_is_told_where_what_and_how_it_would_be_right(
    tag: dict[str, Any], over: dict[str, Any], where: str, message: str
) -> None:
    (problem,) = check_spec("Collector", "p", spec({"name": "x", "type": "int16", **tag}, **over))
    assert (problem.path, problem.message) == (("tags", 0, where), message)


def test_a_wrong_series_is_told_at_its_key() -> None:
    tag = {"name": "x", "address": "D0", "type": "int16"}
    (problem,) = check_spec("Collector", "p", spec(tag, series="S7-1200"))
    assert problem.path == ("devices", 0, "series")
    assert problem.message == (
        "'S7-1200' is no series; write A, FX3, QnA, Q, L, iQ-R, iQ-F or the name on the plate, such as FX3U"
    )


@pytest.mark.parametrize("key", ["frame", "series"])
def test_frame_and_series_are_required_here_or_in_the_defaults(key: str) -> None:
    wanted = spec({"name": "x", "address": "D0", "type": "int16"})
    del wanted["devices"][0][key]
    (problem,) = check_spec("Collector", "p", wanted)
    assert problem.path == ("devices", 0)
    assert problem.message.startswith(f"a {key} is required: ")
    wanted["deviceDefaults"] = {key: DEVICE[key]}
    assert check_spec("Collector", "p", wanted) == []
    wanted["deviceDefaults"] = {"frame": "3E", "series": "none"} if key == "series" else {key: "3E"}
    places = [problem.path for problem in check_spec("Collector", "p", wanted)]
    assert places == ([("deviceDefaults", "series")] if key == "series" else [])


def test_one_port_speaks_one_frame() -> None:
    wanted = spec({"name": "x", "address": "D0", "type": "int16"})
    wanted["devices"] = [{**DEVICE, "name": "a"}, {**DEVICE, "name": "b", "frame": "4E"}]
    (problem,) = check_spec("Collector", "p", wanted)
    assert problem.path == ("devices", 1)
    assert problem.message == "h:5000 speaks 3E binary with a, not 4E binary"


def test_shared_tags_are_numbered_as_each_device_numbers_them() -> None:
    wanted = spec({"name": "x", "address": "X10"})
    wanted["devices"] = [
        {**DEVICE, "name": "a", "host": "a", "code": "binary"},
        {**DEVICE, "name": "b", "host": "b", "series": "iQ-F"},
    ]
    a, b = parse("p", wanted).devices
    assert (a.tags[0].address.offset, b.tags[0].address.offset) == (16, 8)
    assert a.limits == b.limits


def test_values_have_their_low_word_first_and_text_its_low_byte_unless_an_order_is_written() -> None:
    read = device(
        {"name": "a", "address": "D0", "type": "float32"},
        {"name": "b", "address": "D2", "type": "string", "length": 4},
        {"name": "c", "address": "D4", "type": "string", "length": 4, "order": "ABCD"},
    )
    assert [tag.order for tag in read.tags] == ["CDAB", "BADC", "ABCD"]


def test_a_counter_of_32_bits_is_two_words_a_number() -> None:
    read = device({"name": "x", "address": "CN201", "type": "int32", "count": 3}, frame="1E", series="FX3U")
    assert read.tags[0].address == Address("CN200", 2)
    assert read.tags[0].width == 2


def test_the_endpoint_names_the_station_only_where_it_is_another_one() -> None:
    assert device().endpoint == "h:5000"
    assert device(network=1, pc=2).endpoint == "h:5000/1.2.3FF.0"


def test_the_plc_gives_up_before_we_do() -> None:
    for timeout, timer in (("3s", 11), ("500ms", 1), ("100ms", 1), ("60s", 40)):
        access = device(timeout=timeout).access
        assert getattr(access, "timer", None) == timer
