"""The simulated PLC keeps to the manuals, as clients by others and raw frames see it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pymcprotocol
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from slmp import SlmpClient, SlmpError, SlmpTarget

from collectors.simulate.melsec import serve
from collectors.simulate.melsec_faults import Faults, parse_device
from collectors.simulate.melsec_frames import Code, Frame, take
from collectors.simulate.melsec_memory import Plc, Series
from collectors.simulate.memory import Point, Table
from collectors.simulate.packing_line import packing_line
from tests.collectors.running import collector, until

DESIRED = Path(__file__).parents[2] / "desired"
PATIENCE_S = 10.0


def held(start: int, *cells: int) -> Table:
    return Table(65536, [Point(start, len(cells), lambda _: cells)])


def plc(series: Series) -> Plc:
    return Plc(
        series,
        {
            "D": held(100, 0x1234, 0x8000, 7),
            "X": held(0x10, 1, 0, 1, 1),
            "M": held(96, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 1, 0),
            "CN200": held(2, 0x5678, 0x1234),
        },
    )


def seen_by(client: Callable[[int], None], frame: Frame, code: Code, series: Series) -> None:
    """Run a blocking client against the simulated PLC; it gets the port."""

    async def main() -> None:
        async with serve(plc(series), frame=frame, code=code) as device:
            await asyncio.to_thread(client, device.port)

    asyncio.run(main())


@pytest.mark.parametrize("frame", ["3E", "4E"])
@pytest.mark.parametrize("code", ["binary", "ascii"])
@pytest.mark.parametrize("series", ["Q", "iQ-R"])
def test_pymcprotocol_reads_what_the_plc_holds(frame: Frame, code: Code, series: Series) -> None:
    def read(port: int) -> None:
        client = (pymcprotocol.Type3E if frame == "3E" else pymcprotocol.Type4E)(series)
        client.setaccessopt(commtype=code)
        client.connect("127.0.0.1", port)
        try:
            assert client.batchread_wordunits("D100", 3) == [0x1234, -0x8000, 7]
            assert client.batchread_bitunits("M100", 8) == [1, 0, 1, 0, 0, 1, 1, 0]
            assert client.batchread_wordunits("M96", 1) == [0x650]
            with pytest.raises(pymcprotocol.mcprotocolerror.MCProtocolError, match="0x4031"):
                client.batchread_wordunits("D12287", 2)
            with pytest.raises(pymcprotocol.mcprotocolerror.MCProtocolError, match="0xC051"):
                client.batchread_wordunits("D0", 961)
            with pytest.raises(pymcprotocol.mcprotocolerror.UnsupportedComandError):  # 0xC059
                client.batchwrite_wordunits("D0", [1])
            if code == "binary":
                assert client.batchread_bitunits("X10", 4) == [1, 0, 1, 1]
        finally:
            client.close()

    seen_by(read, frame, code, series)


@pytest.mark.parametrize(
    ("profile", "frame", "series"),
    [("melsec:qnu", "3E", "Q"), ("melsec:iq-r", "4E", "iQ-R"), ("melsec:iq-f", "3E", "iQ-F")],
)
def test_an_slmp_client_reads_what_the_plc_holds(profile: str, frame: Frame, series: Series) -> None:
    def read(port: int) -> None:
        target = SlmpTarget(network=0, station=0xFF, module_io=0x3FF, multidrop=0)
        with SlmpClient(
            "127.0.0.1", port, transport="tcp", default_target=target, plc_profile=profile
        ) as client:
            assert client.read_devices("D100", 3, bit_unit=False) == [0x1234, 0x8000, 7]
            first = "X20" if series == "iQ-F" else "X10"
            assert client.read_devices(first, 4, bit_unit=True) == [True, False, True, True]
            with pytest.raises(SlmpError, match=r"(?i)c051|4031"):
                client.read_devices("D12287", 2, bit_unit=False)

    seen_by(read, frame, "binary", series)


def exchange(request: bytes, frame: Frame = "1E", code: Code = "binary", series: Series = "FX3") -> bytes:
    """What a connection receives for the bytes it sends."""

    async def main() -> bytes:
        async with serve(plc(series), frame=frame, code=code) as device:
            reader, writer = await asyncio.open_connection("127.0.0.1", device.port)
            writer.write(request)
            writer.write_eof()
            async with asyncio.timeout(PATIENCE_S):
                received = await reader.read()
            writer.transport.abort()
            return received

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("00 FF 0A 00 64 00 00 00 20 4D 08 00", "80 00 10 10 01 10"),  # FX3U-ENET manual p. 9-9
        ("00 FF 0A 00 64 00 00 00 20 4D 03 00", "80 00 10 10"),
        ("01 FF 0A 00 64 00 00 00 20 44 03 00", "81 00 34 12 00 80 07 00"),
        ("01 FF 0A 00 60 00 00 00 20 4D 01 00", "81 00 50 06"),
        ("01 FF 0A 00 C9 00 00 00 4E 43 02 00", "81 00 78 56 34 12"),
        ("01 FF 0A 00 C9 00 00 00 4E 43 01 00", "81 57"),
        ("01 FF 0A 00 C7 00 00 00 4E 43 02 00", "81 57"),
        ("01 FF 0A 00 61 00 00 00 20 4D 01 00", "81 58"),
        ("01 FF 0A 00 40 21 00 00 20 44 01 00", "81 58"),
        ("01 FF 0A 00 3F 21 00 00 20 44 02 00", "81 57"),
        ("01 FF 0A 00 00 00 00 00 20 44 41 00", "81 57"),
        ("01 FF 0A 00 00 00 00 00 20 57 01 00", "81 56"),
        ("00 FF 0A 00 00 00 00 00 20 44 01 00", "80 56"),
        ("01 03 0A 00 00 00 00 00 20 44 01 00", "81 5B 10 00"),
        ("03 FF 0A 00 00 00 00 00 20 44 01 00 05 00", "83 55"),
        ("02 FF 0A 00 00 00 00 00 20 4D 03 00 11 10", "82 55"),
        ("17 FF 0A 00 00 00 00 00 20 44 01 00", ""),
    ],
)
def test_a_1e_request_gets_the_answer_of_the_manual(request_: str, answer: str) -> None:
    assert exchange(bytes.fromhex(request_)) == bytes.fromhex(answer)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"01FF000A4420000021400100", b"8158"),
        (b"01FF000A5720000000000100", b"8156"),
        (b"0103000A4420000000000100", b"815B1000"),
        (b"03FF000A44200000000001000005", b"8355"),
    ],
)
def test_a_1e_request_in_ascii_is_refused_alike(request_: bytes, answer: bytes) -> None:
    assert exchange(request_, code="ascii") == answer


def test_1e_ascii_gives_points_as_characters_and_words_with_their_high_digit_first() -> None:
    assert exchange(b"00FF000A4D20000000640800", code="ascii") == b"800010100110"
    assert exchange(b"01FF000A4420000000640200", code="ascii") == b"810012348000"


def test_x_of_an_fx5_is_octal_in_ascii() -> None:
    asked = b"500000FF03FF000018000A04010001X*0000200004"
    assert exchange(asked, "3E", "ascii", "iQ-F") == b"D00000FF03FF00000800001011"


@pytest.mark.parametrize(
    ("frame", "code"), [("1E", "ascii"), ("3E", "binary"), ("3E", "ascii"), ("4E", "binary")]
)
def test_what_is_no_request_closes_the_connection(frame: Frame, code: Code) -> None:
    assert exchange(b"GET / HTTP/1.1\r\nHost: plc\r\n\r\n", frame, code) == b""


@given(st.integers(1, 60), st.sampled_from(["binary", "ascii"]))
def test_requests_are_the_same_however_the_stream_is_cut(size: int, code: Code) -> None:
    if code == "binary":
        one = bytes.fromhex("50 00 00 FF FF 03 00 0C 00 0A 00 01 04 00 00 64 00 00 A8 03 00")
    else:
        one = b"500000FF03FF000018000A04010000D*0001000003"
    buffer, taken = bytearray(), []
    for start in range(0, 3 * len(one), size):
        buffer += (3 * one)[start : start + size]
        while request := take("3E", code, buffer, "Q"):
            taken.append((request.device, request.head, request.points))
    assert taken == [("D", 100, 3)] * 3
    assert not buffer


def test_only_reads_that_touch_an_illegal_device_are_refused() -> None:
    async def main() -> None:
        async with serve(plc("Q"), frame="3E", faults=Faults(illegal=frozenset({("D", 101)}))) as device:

            def read() -> None:
                client = pymcprotocol.Type3E()
                client.connect("127.0.0.1", device.port)
                try:
                    assert client.batchread_wordunits("D100", 1) == [0x1234]
                    with pytest.raises(pymcprotocol.mcprotocolerror.MCProtocolError, match="0x4031"):
                        client.batchread_wordunits("D100", 3)
                finally:
                    client.close()

            await asyncio.to_thread(read)

    asyncio.run(main())


def test_devices_are_read_as_written() -> None:
    assert parse_device("D900") == ("D", 900)
    assert parse_device("X0x1F") == ("X", 0x1F)
    for text in ("900", "D", "D1F", "holding:3", ""):
        with pytest.raises(ValueError, match="write it like D900"):
            parse_device(text)


def test_values_move_and_follow_from_the_time_alone() -> None:
    one, other = packing_line("FX3"), packing_line("FX3")
    seen = []
    for t in range(100_000, 100_120):
        words = one.read("D", 0, 130, float(t))
        assert words == other.read("D", 0, 130, float(t))
        seen.append((words[2], words[12] | words[13] << 16))
        assert one.read("CN200", 0, 2, float(t)) == words[12:14]
    assert {state for state, _ in seen} == {0, 1, 2, 3}
    assert seen[-1][1] - seen[0][1] in (19, 20)


def test_the_demo_manifest_reads_every_tag_of_the_simulated_line(tmp_path: Path) -> None:
    manifest: dict[str, Any] = yaml.safe_load((DESIRED / "packing-line.yaml").read_text(encoding="utf-8"))
    spec = manifest["spec"]
    fields = {"nozzle_0", "nozzle_1", "nozzle_2", "nozzle_3", "alarm_no_glue", "alarm_door_open"}
    fields |= {tag["name"] for tag in spec["tags"]} - {"nozzle", "alarms"}

    async def main() -> None:
        async with serve() as device:
            (wanted,) = spec["devices"]
            changed = {**spec, "devices": [{**wanted, "port": device.port}]}
            async with collector(tmp_path, changed, name="packing") as running:
                await until(
                    lambda: {f for _, _, row, _ in running.rows() for f in row} == fields, "every field"
                )
                stored: dict[str, Any] = {f: v for _, _, row, _ in running.rows() for f, v in row.items()}
                assert 10 < stored["conveyor_speed"] < 14
                assert 4.9 < stored["carton_weight"] < 5.1
                assert stored["cartons"] <= stored["cartons_total"] <= (time.time() - 1_735_689_600) / 6
                assert stored["product"] in ("NUTS-500 坚果", "RAISINS-250", "DATES-1000")
                assert stored["on_pallet"] < 48
                report = running.report()
                assert report and report.devices[0].quarantined == ()

    asyncio.run(main())
