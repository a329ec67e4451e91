"""Our MELSEC client against the simulated PLC, over real connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from collectors import blocks, protocols
from collectors.decode import decoder
from collectors.model import (
    Block,
    BusyError,
    Connection,
    Device,
    LinkLostError,
    NoAnswerError,
    RefusedError,
)
from collectors.simulate.melsec import serve
from collectors.simulate.melsec_faults import Faults
from collectors.simulate.melsec_frames import Code, Frame
from collectors.simulate.melsec_memory import Plc, Series
from collectors.simulate.memory import Point, Table
from collectors.spec import parse
from tests.collectors.running import until

MELSEC = protocols.load("melsec")

HOWS: list[tuple[Frame, Code, Series]] = [
    ("1E", "binary", "FX3"), ("1E", "ascii", "FX3"), ("1E", "binary", "Q"), ("1E", "ascii", "Q"),
    ("3E", "binary", "Q"), ("3E", "ascii", "Q"), ("3E", "binary", "iQ-R"), ("3E", "ascii", "iQ-R"),
    ("3E", "binary", "iQ-F"), ("3E", "ascii", "iQ-F"),
    ("4E", "binary", "Q"), ("4E", "ascii", "Q"), ("4E", "binary", "iQ-R"), ("4E", "ascii", "iQ-R"),
]  # fmt: skip
FRAMES: list[tuple[Frame, Code]] = [(f, c) for f in ("1E", "3E", "4E") for c in ("binary", "ascii")]


def held(cells: Sequence[int], start: int = 0) -> Table:
    return Table(65536, [Point(start, len(cells), lambda _: cells)])


def plc(series: Series) -> Plc:
    """Every word holds 3 × its number, every bit whether its number divides by 3."""
    words = held([n * 3 % 65536 for n in range(8512)])
    bits = held([int(n % 3 == 0) for n in range(4096)])
    names = {"D": words, "R": words, "W": words, "ZR": words, "TN": words, "CN": words, "SD": words}
    return Plc(series, {**names, **dict.fromkeys(("M", "X", "Y", "B", "S", "L", "SM", "TS"), bits)})


def device_of(port: int, frame: Frame, code: Code, series: str, **over: Any) -> Device:
    options = {"host": "127.0.0.1", "port": port, "frame": frame, "code": code, "series": series}
    return MELSEC.parse_device("plc", {**MELSEC.DEFAULTS, "timeout": "5s", **options, **over})


def against(
    check: Callable[[Any, Connection, Device], Coroutine[None, None, None]],
    how: tuple[Frame, Code, Series] = ("3E", "binary", "Q"),
    faults: Faults = Faults(),  # noqa: B008  (immutable)
    **over: Any,
) -> None:
    """Run `check` with a simulated PLC, a connection to it, and the device."""
    frame, code, series = how

    async def main() -> None:
        async with serve(plc(series), frame=frame, code=code, faults=faults) as simulated:
            device = device_of(simulated.port, frame, code, series, **over)
            connection = await MELSEC.connect(device.link, 5.0)
            try:
                await check(simulated, connection, device)
            finally:
                connection.close()

    asyncio.run(main())


@asynccontextmanager
async def peer(
    frame: Frame = "1E",
    code: Code = "binary",
    *,
    at_once: bytes = b"",
    when_asked: bytes = b"",
    hang_up: bool = False,
) -> AsyncIterator[tuple[Connection, Device]]:
    """A connection to something that sends what it is told to, whatever it is asked."""
    transports: list[asyncio.Transport] = []

    class Peer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transports.append(transport)
            transport.write(at_once)

        def data_received(self, data: bytes) -> None:
            transports[-1].write(when_asked)
            if hang_up:
                transports[-1].close()

    server = await asyncio.get_running_loop().create_server(Peer, "127.0.0.1", 0)
    async with server:
        device = device_of(server.sockets[0].getsockname()[1], frame, code, "Q", timeout="60s")
        connection = await MELSEC.connect(device.link, 5.0)
        try:
            yield connection, device
        finally:
            connection.close()
            for transport in transports:
                transport.abort()


def words(area: str, start: int, count: int) -> Block:
    return Block(area, "word", start, count, ())


def bits(area: str, start: int, count: int) -> Block:
    return Block(area, "bit", start, count, ())


@pytest.mark.parametrize(
    ("how", "split"),
    [*((how, False) for how in HOWS), *(((*how, "Q"), True) for how in FRAMES)],
    ids=str,
)
def test_what_a_plc_holds_is_what_is_read(how: tuple[Frame, Code, Series], split: bool) -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        longest = 12 if split else device.limits.words
        most_bits = 50 if split else min(device.limits.bits, 3000)
        for block in (words("D", 100, longest), words("R", 1, 1), words("TN", 5, 3)):
            read = await connection.read(device, block)
            assert list(read) == [n * 3 for n in range(block.start, block.start + block.count)]
        for area, start, count in (
            ("M", 7, 1),
            ("M", 8, 16),
            ("X", 9, 8),
            ("M", 5, most_bits),
            ("Y", 15, 17),
        ):
            read = await connection.read(device, bits(area, start, count))
            assert [int(bit) for bit in read] == [int(n % 3 == 0) for n in range(start, start + count)]
        assert len(simulated.connections) == 1

    against(check, how, Faults(split=split))


@pytest.mark.parametrize(
    ("how", "block", "said"),
    [
        (("1E", "binary", "FX3"), words("W", 0, 1), "0x56 device not available: W0"),
        (("1E", "ascii", "FX3"), words("D", 8512, 1), "0x58 head number out of range: D8512"),
        (("1E", "binary", "FX3"), words("D", 8510, 4),
         "0x57 more points than the PLC gives at once: D8510-D8513"),
        (("1E", "binary", "FX3"), bits("X", 0o400, 2), "0x58 head number out of range: X400-X401"),
        (("3E", "ascii", "Q"), words("D", 12287, 2), "0x4031 device number out of range: D12287-D12288"),
        (("4E", "binary", "iQ-R"), words("RD", 0, 1), "0xC05B device cannot be read: RD0"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_in_words_and_the_link_goes_on(
    how: tuple[Frame, Code, Series], block: Block, said: str
) -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        with pytest.raises(RefusedError, match="cannot read plc: ") as caught:
            await connection.read(device, block)
        assert str(caught.value) == f"cannot read plc: {said}"
        assert list(await connection.read(device, words("D", 1, 2))) == [3, 6]
        assert connection.is_open

    against(check, how)


@pytest.mark.parametrize("code", ["binary", "ascii"])
def test_an_abnormal_code_and_what_fills_it_up_leave_the_link_in_step(code: Code) -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        for _ in range(3):
            with pytest.raises(NoAnswerError, match="0x5B 0x10 no PLC with this pc number: D1") as caught:
                await connection.read(device, words("D", 1, 1))
            assert caught.value.heard
        own = device_of(simulated.port, "1E", code, "FX3")
        assert list(await connection.read(own, words("D", 1, 2))) == [3, 6]

    against(check, ("1E", code, "FX3"), pc=3)


@pytest.mark.parametrize("how", FRAMES, ids=" ".join)
def test_half_an_answer_is_no_value(how: tuple[Frame, Code]) -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        with pytest.raises(NoAnswerError, match=r"cannot read D1-D4 of plc: no answer within 0\.1 s"):
            await connection.read(device, words("D", 1, 4))
        assert connection.is_open == (how[0] == "4E")

    against(check, (*how, "Q"), Faults(truncate_every=1), timeout="100ms")


@pytest.mark.parametrize("how", FRAMES, ids=" ".join)
def test_a_late_answer_is_never_taken_for_the_next_one(how: tuple[Frame, Code]) -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        with pytest.raises(NoAnswerError):
            await connection.read(device, words("D", 1, 1))
        simulated.faults = Faults()
        patient = device_of(simulated.port, *how, "Q")
        if how[0] == "4E":
            assert list(await connection.read(patient, words("D", 2, 1))) == [6]
        else:
            with pytest.raises(LinkLostError):
                await connection.read(patient, words("D", 2, 1))

    against(check, (*how, "Q"), Faults(delay_s=0.2), timeout="100ms")


@pytest.mark.parametrize("code", ["binary", "ascii"])
def test_an_answer_with_the_serial_number_before_is_passed_over(code: Code) -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        assert list(await connection.read(device, words("D", 1, 1))) == [3]
        with pytest.raises(NoAnswerError):
            await connection.read(device, words("D", 2, 1))
        assert list(await connection.read(device, words("D", 3, 1))) == [9]

    against(check, ("4E", code, "Q"), Faults(stale_every=2), timeout="100ms")


@pytest.mark.parametrize("frame", ["1E", "3E"])
def test_bytes_that_nobody_asked_for_close_a_link_without_numbers(frame: Frame) -> None:
    async def main() -> None:
        async with peer(frame, at_once=b"\x81\x00\x01\x00") as (connection, device):
            await until(lambda: not connection.is_open, "the link closed")
            with pytest.raises(LinkLostError, match="cannot read plc: the connection is closed"):
                await connection.read(device, words("D", 0, 1))

    asyncio.run(main())


@pytest.mark.parametrize("how", FRAMES, ids=" ".join)
def test_a_device_that_dies_in_the_middle_of_an_answer_is_a_lost_link_at_once(
    how: tuple[Frame, Code],
) -> None:
    half = {"1E": "81", "3E": "D000", "4E": "D400"}[how[0]]
    begun = bytes.fromhex(half) if how[1] == "binary" else half.encode()

    async def main() -> None:
        async with peer(*how, when_asked=begun, hang_up=True) as (connection, device):
            with pytest.raises(LinkLostError, match="closed by the other side"):
                await connection.read(device, words("D", 0, 1))
            assert not connection.is_open

    asyncio.run(main())


def test_an_answer_of_another_frame_closes_the_link() -> None:
    async def main() -> None:
        async with peer("3E", when_asked=bytes.fromhex("81 00 07 00")) as (connection, device):
            with pytest.raises(LinkLostError, match="an answer that begins with 81 00 07 00"):
                await connection.read(device, words("D", 0, 1))
            assert not connection.is_open

    asyncio.run(main())


@pytest.mark.parametrize(
    ("frame", "answer"), [("1E", "81 00 07 00 08 00"), ("3E", "D0 00 00 FF FF 03 00 04 00 00 00 07 00 00")]
)
def test_an_answer_that_is_longer_than_it_should_be_is_no_value(frame: Frame, answer: str) -> None:
    async def main() -> None:
        async with peer(frame, when_asked=bytes.fromhex(answer)) as (connection, device):
            with pytest.raises(LinkLostError, match="an answer with more behind its end"):
                await connection.read(device, words("D", 0, 1))
            assert not connection.is_open

    asyncio.run(main())


def test_a_station_that_is_not_there_leaves_the_link_to_the_others() -> None:
    async def check(simulated: Any, connection: Connection, device: Device) -> None:
        wrong = device_of(simulated.port, "3E", "binary", "Q", network=1)
        with pytest.raises(NoAnswerError, match="0xC05F") as caught:
            await connection.read(wrong, words("D", 0, 1))
        assert caught.value.heard
        assert list(await connection.read(device, words("D", 1, 1))) == [3]

    against(check)


def test_nobody_there_is_a_lost_link_that_says_where() -> None:
    async def main() -> None:
        async with serve(faults=Faults(refuse=True)) as simulated:
            device = device_of(simulated.port, "1E", "binary", "FX3")
            with pytest.raises(LinkLostError) as caught:
                await MELSEC.connect(device.link, 5.0)
            assert str(caught.value) == f"cannot connect to 127.0.0.1:{simulated.port} (1E binary)"
            assert caught.value.reason == "ConnectionRefused"

    asyncio.run(main())


def test_every_type_comes_as_the_packing_line_holds_it() -> None:
    tags = [
        {"name": "weight", "address": "D10", "type": "float32"},
        {"name": "made", "address": "D12", "type": "uint32"},
        {"name": "product", "address": "D20", "type": "string", "length": 16},
        {"name": "air", "address": "D110", "type": "float64"},
        {"name": "long", "address": "CN200", "type": "uint32"},
        {"name": "shift", "address": "R0", "type": "bcd16"},
        {"name": "jam", "address": "D120.F"},
        {"name": "present", "address": "X0"},
    ]

    async def main() -> None:
        async with serve(clock=lambda: 1_760_000_003.0) as simulated:
            options = {"host": "127.0.0.1", "port": simulated.port, "frame": "1E", "series": "FX3U"}
            spec = parse("line", {"type": "melsec", "interval": "1s", "devices": [options], "tags": tags})
            (device,) = spec.devices
            connection = await MELSEC.connect(device.link, 5.0)
            read: dict[str, Any] = {}
            for block in blocks.group(device.tags, device.limits):
                values = decoder(block)(await connection.read(device, block))
                read |= dict(zip([piece.tag.name for piece in block.pieces], values, strict=True))
            connection.close()
            t = 1_760_000_003.0 - 1_735_689_600.0
            assert read["made"] == read["long"] == int(t // 6)
            assert 4.9 < read["weight"] < 5.1
            assert read["product"] in ("NUTS-500 坚果", "RAISINS-250", "DATES-1000")
            assert read["air"] == pytest.approx(2.4 * t, rel=0.01)
            assert read["shift"] in (1, 2, 3)
            assert (read["jam"], read["present"]) in {(a, b) for a in (True, False) for b in (True, False)}

    asyncio.run(main())


def test_an_unknown_end_code_is_tried_again_in_the_next_slot() -> None:
    async def main() -> None:
        async with peer(when_asked=b"\x81\x77") as (connection, device):
            with pytest.raises(BusyError, match="0x77 no known end code"):
                await connection.read(device, words("D", 0, 1))
            assert connection.is_open

    asyncio.run(main())
