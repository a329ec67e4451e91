from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from collectors.contract import check_spec
from collectors.model import Address, Limits, Link
from collectors.spec import SpecError, parse

DEVICE = {"host": "127.0.0.1"}
TAG = {"name": "x", "address": "40001", "type": "int16"}


def spec(*tags: dict[str, Any], **over: Any) -> dict[str, Any]:
    return {"type": "modbus", "interval": "1s", "devices": [DEVICE], "tags": list(tags or (TAG,)), **over}


def tag(**over: Any) -> dict[str, Any]:
    return {k: v for k, v in {**TAG, **over}.items() if v is not None}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("40001", Address("holding", 0)),
        ("400001", Address("holding", 0)),
        ("465536", Address("holding", 65535)),
        ("49999", Address("holding", 9998)),
        ("30002", Address("input", 1)),
        ("10003", Address("discrete", 2, "bit")),
        ("00001", Address("coil", 0, "bit")),
        ("000001", Address("coil", 0, "bit")),
        ("holding:0", Address("holding", 0)),
        ("input:0x10", Address("input", 16)),
        ("holding:40001", Address("holding", 40001)),
        ("coil:3", Address("coil", 3, "bit")),
        ("discrete:5", Address("discrete", 5, "bit")),
        ("40001.10", Address("holding", 0, "word", 10)),
        ("holding:7.0", Address("holding", 7, "word", 0)),
    ],
)
def test_references_count_from_one_and_areas_from_zero(address: str, expected: Address) -> None:
    one_bit = expected.unit == "bit" or expected.bit is not None
    (device,) = parse("p", spec(tag(address=address, type="bool" if one_bit else "int16"))).devices
    assert device.tags[0].address == expected


BOTH = (
    "write a 5- or 6-digit reference counted from 1, such as 40001 or 400001 (0 coil, 1 discrete, 3 input, "
    "4 holding), or an area with an address counted from 0, such as holding:0"
)


@pytest.mark.parametrize(
    ("wrong", "where", "message"),
    [
        (tag(address="5"), "address", f"'5' does not say from where it counts; {BOTH}"),
        (tag(address="0x10"), "address", f"'0x10' does not say from where it counts; {BOTH}"),
        (tag(address="20001"), "address", f"'20001' does not say from where it counts; {BOTH}"),
        (tag(address="40000"), "address", f"'40000' is no reference: they count from 1; {BOTH}"),
        (tag(address="D100"), "address", f"'D100' is no Modbus address; {BOTH}"),
        (tag(address="465537"), "address", "'465537' is beyond the last address of an area, holding:65535"),
        (tag(address="register:1"), "address",
         "'register' is no area; write holding, input, coil or discrete"),
        (tag(address="40001.16"), "address",
         "'40001.16': .16 is no bit of a register; write .0 (least significant) to .15"),
        (tag(address="coil:3.1"), "address",
         "'coil:3.1' selects a bit of what is one bit already; leave out .1"),
        (tag(address="465536", type="int32"), "address",
         "1 × int32 from 465536 ends at 65536, beyond the last address 65535"),
        (tag(type=None), None, "a type is required; write for example type: uint16"),
        (tag(address="coil:3"), "type", "coil:3 is one bit, which is type bool, not int16"),
        (tag(address="40001.3"), "type", "40001.3 is one bit, which is type bool, not int16"),
        (tag(type="bool"), "type", "bool needs one bit of the word; write address: 40001.0 to .15"),
        (tag(type="string"), None, "a string needs its length in bytes; write for example length: 16"),
        (tag(type="string", length=252), "length", "one value of 126 words does not fit a request of 125"),
        (tag(length=2), "length", "only a string has a length; int16 has its own"),
        (tag(count=3, names=["a", "b"]), "names", "2 names for count: 3; give one name for each value"),
        (tag(address="40001.3", type="bool", count=2), "count",
         "a bit of a word is one value; give the bits names with `bits` instead"),
        (tag(bits={"16": "a"}), ("bits", "16"),
         "16 is no bit of int16; write 0 (least significant) to 15"),
        (tag(type="float32", bits={"1": "a"}), "bits",
         "float32 has no named bits; use an integer type such as uint16"),
        (tag(bits={"1": "a"}, scale=0.1), "scale", "scale has no meaning beside bits, whose fields are bool"),
        (tag(address="coil:1", type="bool", scale=2), "scale", "scale has no meaning for bool"),
        (tag(scale=0), "scale", "a scale of 0 makes every value the same; leave it out or write another"),
        (tag(address="coil:1", type="bool", order="CDAB"), "order", "order has no meaning for bool"),
        (tag(every="1500ms"), "every", "1500ms is no multiple of the interval of 1000 ms"),
        (tag(every="500ms"), "every", "500ms is no multiple of the interval of 1000 ms"),
        (tag(atLeastEvery="1m"), "atLeastEvery",
         "atLeastEvery has no meaning without deadband: every value is stored"),
        (tag(type="string", length=4, deadband=1), "deadband", "deadband has no meaning for string"),
        (tag(name="time"), "name", "InfluxDB keeps the name time for itself; use another"),
    ],
)  # fmt: skip
def test_a_wrong_tag_is_told_where_what_and_how_it_would_be_right(
    wrong: dict[str, Any], where: Any, message: str
) -> None:
    (problem,) = check_spec("Collector", "p", spec(wrong))
    path = () if where is None else where if isinstance(where, tuple) else (where,)
    assert (problem.path, problem.message) == (("tags", 0, *path), message)


@pytest.mark.parametrize(
    ("wrong", "path", "message"),
    [
        (spec(TAG, TAG), ("tags", 1, "name"), "there is already a field x, of tag x"),
        (spec(tag(name="a", count=2), tag(name="a_1")), ("tags", 1, "name"),
         "there is already a field a_1, of tag a"),
        (spec(tag(name="b", bits={"0": "x"}), TAG), ("tags", 1, "name"),
         "there is already a field x, of tag b"),
        (spec(devices=[{**DEVICE, "name": "a", "tags": [TAG]}]), ("devices", 0, "tags", 0, "name"),
         "there is already a field x, of tag x"),
        (spec(devices=[{**DEVICE, "name": "a"}, {**DEVICE, "name": "a", "unitId": 2}]),
         ("devices", 1, "name"),
         "there is already a device named a"),
        (spec(devices=[{**DEVICE, "name": "a"}, DEVICE]), ("devices", 1),
         "a device needs a name where there are several"),
        (spec(devices=[{}]), ("devices", 0), "a host is required, here or in deviceDefaults"),
        (spec(devices=[{**DEVICE, "labels": {"device": "d"}}]), ("devices", 0, "labels", "device"),
         "device is set by the collector itself; use another label"),
        (spec(tags=[]), ("devices", 0, "tags"),
         "nothing is read on p; give the collector or this device tags"),
        (spec(interval="0s"), ("interval",), "an interval must be longer than 0"),
    ],
)  # fmt: skip
def test_a_wrong_spec_is_told_where_and_what(wrong: dict[str, Any], path: Any, message: str) -> None:
    (problem,) = check_spec("Collector", "p", wrong)
    assert (problem.path, problem.message) == (path, message)


def test_all_problems_are_told_at_once_in_the_order_of_the_spec() -> None:
    wrong = spec(tag(address="5"), tag(name="y", type="string"), devices=[{**DEVICE, "labels": {"tag": "t"}}])
    assert [p.path for p in check_spec("Collector", "p", wrong)] == [
        ("devices", 0, "labels", "tag"),
        ("tags", 0, "address"),
        ("tags", 1),
    ]


def test_a_problem_of_shared_tags_is_told_once_however_many_devices() -> None:
    devices = [{**DEVICE, "name": f"d{i}", "unitId": i} for i in range(5)]
    assert len(check_spec("Collector", "p", spec(TAG, TAG, devices=devices))) == 1
    assert len(check_spec("Collector", "p", spec(tag(address="5"), devices=devices))) == 1


def test_a_spec_with_problems_does_not_run_and_names_them() -> None:
    with pytest.raises(SpecError, match=r"cannot run p: tags\.0\.scale: a scale of 0 makes"):
        parse("p", spec(tag(scale=0)))


def test_defaults_labels_and_tags_are_merged() -> None:
    (a, b) = parse(
        "p",
        spec(
            deviceDefaults={"host": "10.0.0.1", "timeout": "500ms", "labels": {"hall": "A", "line": "1"}},
            devices=[
                {"name": "a"},
                {"name": "b", "unitId": 7, "labels": {"line": "2"}, "tags": [tag(name="own")]},
            ],
        ),
    ).devices
    assert a.link == b.link == Link("10.0.0.1", 502, "tcp")
    assert (a.endpoint, b.endpoint) == ("10.0.0.1:502/1", "10.0.0.1:502/7")
    assert a.limits == Limits(words=125, bits=2000, gap=8)
    assert (a.timeout_s, a.pause_s) == (0.5, 0.0)
    assert (a.labels, b.labels) == ({"hall": "A", "line": "1"}, {"hall": "A", "line": "2"})
    assert [t.name for t in b.tags] == ["x", "own"]


def test_names_default_to_the_manifests() -> None:
    parsed = parse("press-1", {"type": "modbus", "devices": [DEVICE], "tags": [TAG]})
    assert (parsed.measurement, parsed.interval_ms, parsed.devices[0].name) == ("press-1", 5000, "press-1")


def test_validation_needs_no_driver() -> None:
    code = (
        "import sys; from collectors.contract import check_spec;"
        f"assert check_spec('Collector', 'p', {spec()!r}) == [];"
        "assert not [m for m in sys.modules if m.startswith(('pymodbus', 'asyncio'))]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_a_thousand_manifests_of_twenty_tags_are_checked_in_a_second() -> None:
    tags = [tag(name=f"t{i}", address=str(40001 + 2 * i), type="float32", scale=0.1) for i in range(20)]
    wanted = spec(*tags, devices=[{**DEVICE, "name": f"d{i}", "unitId": i} for i in range(2)])
    started = time.process_time()
    assert not any(check_spec("Collector", "p", wanted) for _ in range(1000))
    assert time.process_time() - started < 1.0
