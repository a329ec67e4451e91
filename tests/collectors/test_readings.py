from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.model import RefusedError
from collectors.readings import Readings
from collectors.spec import parse

AT_NS = 1_700_000_000_000_000_000


class Device:
    """Readings of one device whose first holding registers are given at every answer."""

    def __init__(self, *tags: dict[str, Any], interval: str = "1s") -> None:
        devices = [{"name": "d", "host": "h"}]
        spec = parse("c", {"type": "modbus", "interval": interval, "devices": devices, "tags": list(tags)})
        self.lines: list[str] = []
        self.points = 0
        self.readings = Readings(spec, spec.devices[0], self.emit, 0.0)
        (self.request,) = self.readings.due(0, None, 0.0)

    def emit(self, line: str, points: int) -> None:
        self.lines.append(line)
        self.points += points

    def answer(self, now: float, *words: int) -> list[str]:
        """The lines that one answer gives."""
        del self.lines[:]
        self.readings.answered(self.request, words, AT_NS, now)
        return self.lines

    def refuse(self, now: float) -> list[str]:
        del self.lines[:]
        self.readings.refused(self.request, RefusedError("IllegalDataAddress", "cannot read"), AT_NS, now)
        return self.lines

    def grow_stale(self, now: float) -> list[str]:
        del self.lines[:]
        self.readings.grow_stale("Timeout", AT_NS, now)
        return self.lines


def tag(**over: Any) -> dict[str, Any]:
    return {"name": "x", "address": "holding:0", "type": "int16", **over}


def stored(value: str) -> list[str]:
    return [f"c,collector=c,device=d x={value} {AT_NS}"]


def quality(now: str, reason: str) -> str:
    return f'daq_quality,collector=c,device=d,tag=x quality="{now}",reason="{reason}" {AT_NS}'


def test_a_block_is_one_line_with_its_series_escaped() -> None:
    device = Device(tag(name="a b"), tag(name="c,d", address="holding:1"))
    assert device.answer(1, 1, 2) == [f"c,collector=c,device=d a\\ b=1i,c\\,d=2i {AT_NS}"]
    assert device.points == 2


def test_within_the_deadband_nothing_is_written_until_it_is_left_or_its_time_is_up() -> None:
    device = Device(tag(deadband=5, atLeastEvery="10s"))
    assert device.answer(1, 100) == stored("100i")
    assert device.answer(2, 104) == []
    assert device.answer(3, 96) == []
    assert device.answer(4, 105) == stored("105i")
    assert device.answer(13, 104) == []
    assert device.answer(14, 104) == stored("104i")


def test_what_comes_after_a_gap_is_written_however_near() -> None:
    device = Device(tag(deadband=5))
    device.answer(1, 100)
    assert device.refuse(2) == [quality("bad", "IllegalDataAddress")]
    assert device.answer(3, 101) == [quality("good", ""), *stored("101i")]


def test_a_bad_reading_writes_no_field_and_one_line_of_quality() -> None:
    device = Device(tag(type="bcd16"))
    assert device.answer(1, 0x00FF) == [quality("bad", "NotBcd")]
    assert device.answer(2, 0x00FF) == []
    assert device.refuse(3) == [quality("bad", "IllegalDataAddress")]
    assert device.answer(4, 0x0012) == [quality("good", ""), *stored("12i")]
    assert device.answer(5, 0x0012) == stored("12i")


def test_a_tag_is_stale_after_three_missed_intervals_of_its_own() -> None:
    device = Device(tag(every="10s"), tag(name="y", address="holding:1"))
    assert device.grow_stale(3.0) == []
    assert device.grow_stale(3.1) == [quality("stale", "Timeout").replace("tag=x", "tag=y")]
    assert device.grow_stale(30.0) == []
    assert device.grow_stale(30.1) == [quality("stale", "Timeout")]
    assert device.grow_stale(40.0) == []
    assert device.readings.stale_tags == 2
    assert device.answer(41, 1, 2)[:1] == [quality("good", "")]
    assert device.readings.stale_tags == 0


def test_an_array_with_one_bad_value_is_stored_without_it() -> None:
    device = Device(tag(type="bcd16", count=3))
    assert device.answer(1, 0x11, 0xFF, 0x33) == [
        quality("bad", "NotBcd").replace("tag=x", "tag=x_1"),
        f"c,collector=c,device=d x_0=11i,x_2=33i {AT_NS}",
    ]


TYPES = (
    "int16",
    "uint16",
    "int32",
    "uint32",
    "int64",
    "uint64",
    "float32",
    "float64",
    "bcd16",
    "bcd32",
    "string",
)


@settings(max_examples=50)
@given(data=st.data())
def test_an_answer_gives_the_same_line_whether_or_not_all_went_well_before(data: st.DataObject) -> None:
    tags = []
    for n in range(data.draw(st.integers(1, 8))):
        kind = data.draw(st.sampled_from(TYPES))
        one = tag(name=f"t {n}%", address=f"holding:{data.draw(st.integers(0, 8))}", type=kind)
        if kind == "string":
            one["length"] = 6
        elif data.draw(st.booleans()):
            one["scale"] = data.draw(st.sampled_from([0.1, 2, -0.25]))
        tags.append(one)
    tags.append(tag(name="bit", address="holding:0.3", type="bool"))
    tags.append(tag(name="bits", address="holding:1", type="uint16", bits={"0": "low", "15": "top"}))
    device = Device(*tags)
    words = [
        data.draw(st.sampled_from([0, 1, 0x1234, 0x4142, 0x7FC0, 0x7F80, 0xFFFF, 0x41BC])) for _ in range(40)
    ]
    answers = words[: device.request.block.count]
    first = [line for line in device.answer(1, *answers) if not line.startswith("daq_quality")]
    assert device.answer(2, *answers) == first, "each field looked at, then in one go where all were good"
    calm = Device(*tags)
    calm.answer(1, *[0] * len(answers))
    assert [line for line in calm.answer(2, *answers) if not line.startswith("daq_quality")] == first
