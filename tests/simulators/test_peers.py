"""Programs by others agree with us: libmodbus and mbpoll, and three third-party MELSEC clients."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fx3u_mcprotocol
import pymelsec
import pytest
from pymelsec.constants import DT

from collectors.simulate.melsec_frames import Code, Frame
from collectors.simulate.modbus import serve
from tests.collectors.running import collecting, until
from tests.collectors.test_collecting import WORDS, modbus
from tests.programs import library, npm_package, program
from tests.simulators.test_melsec_simulator import seen_by


@pytest.fixture
def libmodbus() -> Iterator[int]:
    library("modbus")
    command = [sys.executable, "-m", "tests.simulators.libmodbus_server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def test_a_libmodbus_server_is_read_in_all_four_areas_as_it_holds_them(
    libmodbus: int, tmp_path: Path
) -> None:
    tags: list[dict[str, Any]] = [
        {"name": "holding", "address": "holding:0", "type": "uint16", "count": 250},
        {"name": "input", "address": "input:500", "type": "int16", "count": 130},
        {"name": "coil", "address": "coil:3", "count": 21},
        {"name": "discrete", "address": "discrete:990", "count": 10},
        {"name": "pair", "address": "40301", "type": "uint32", "order": "CDAB"},
        {"name": "beyond", "address": "holding:2500", "type": "uint16"},
    ]
    truth: dict[str, Any] = {f"holding_{n}": n for n in range(250)}
    truth |= {f"input_{n}": -1 - (500 + n) for n in range(130)}
    truth |= {f"coil_{n}": (3 + n) % 2 == 1 for n in range(21)}
    truth |= {f"discrete_{n}": n % 2 == 0 for n in range(10)}
    truth["pair"] = 301 << 16 | 300

    async def main() -> None:
        async with collecting(tmp_path, modbus(libmodbus, *tags)) as running:
            await until(lambda: len(running.rows()) > 8, "readings of all areas")
            assert {k: v for _, _, fields, _ in running.rows() for k, v in fields.items()} == truth
            assert running.qualities("beyond") == [("bad", "IllegalDataAddress")]

    asyncio.run(main())


@pytest.mark.parametrize(
    ("what", "values"),
    [
        (("-t", "4", "-r", "5", "-c", "3"), {5: 105, 6: 106, 7: 107}),
        (("-t", "4", "-r", "0", "-c", "125"), {n: 100 + n for n in range(125)}),
        (("-t", "0", "-r", "0", "-c", "3"), {0: 1, 1: 0, 2: 1}),
    ],
)
def test_mbpoll_reads_what_the_simulated_device_holds(what: tuple[str, ...], values: dict[int, int]) -> None:
    mbpoll = program("mbpoll")

    async def main() -> None:
        async with serve({1: WORDS}) as device:
            arguments = ["-m", "tcp", "-p", str(device.port), "-a", "1", "-0", "-1", "-q", *what, "127.0.0.1"]
            done = await asyncio.create_subprocess_exec(mbpoll, *arguments, stdout=asyncio.subprocess.PIPE)
            output, _ = await done.communicate()
            found = re.findall(r"^\[(\d+)\]:\s+(-?\d+)", output.decode(), re.MULTILINE)
            assert {int(at): int(value) for at, value in found} == values

    asyncio.run(main())


def test_an_fx3u_client_reads_what_the_simulated_plc_holds_in_1e_ascii() -> None:
    def read(port: int) -> None:
        client = fx3u_mcprotocol.FX3UClient("127.0.0.1", port, cpu="FX3U", mode="ascii")
        client.connect()
        try:
            assert client.readRegs("D100", 3) == [0x1234, 0x8000, 7]
            assert client.readBits("M100", 8) == [True, False, True, False, False, True, True, False]
            assert client.readBits("X16", 4) == [
                True,
                False,
                True,
                True,
            ]  # its X is decimal: X20 on the plate
        finally:
            client.close()

    seen_by(read, "1E", "ascii", "FX3")


@pytest.mark.parametrize("frame", ["3E", "4E"])
def test_pymelsec_reads_what_the_simulated_plc_holds(frame: Frame) -> None:
    def read(port: int) -> None:
        with (pymelsec.Type3E if frame == "3E" else pymelsec.Type4E)("127.0.0.1", port, "Q") as plc:
            words = plc.batch_read(ref_device="D100", read_size=3, data_type=DT.UWORD)
            assert [tag.value for tag in words] == [0x1234, 0x8000, 7]
            bits = plc.batch_read(ref_device="M100", read_size=8, data_type=DT.BIT)
            assert [int(tag.value) for tag in bits] == [1, 0, 1, 0, 0, 1, 1, 0]

    seen_by(read, frame, "binary", "Q")  # its ASCII code raises TypeError before it sends anything


_NODE = """
const PLC = require('mcprotocol'), plc = new PLC({silent: true});
const items = {words: 'D100,3', bits: 'M100,8', input: 'X20,4', counter: 'CN201'};
plc.initiateConnection({host: '127.0.0.1', port: +process.argv[1], ascii: process.argv[2] === 'ascii'}, (failed) => {
  if (failed) { console.error(failed); process.exit(1); }
  plc.setTranslationCB((tag) => items[tag]);
  plc.addItems(Object.keys(items));
  plc.readAllItems((bad, values) => {
    require('fs').writeFileSync(process.argv[3], JSON.stringify(values));
    process.exit(0);
  });
});
"""


@pytest.mark.e2e
@pytest.mark.parametrize("code", ["binary", "ascii"])
def test_the_npm_package_mcprotocol_reads_what_the_simulated_plc_holds_in_1e(
    code: Code, tmp_path: Path
) -> None:
    modules = npm_package("mcprotocol", "0.1.2")

    def read(port: int) -> None:
        answer = tmp_path / "answer.json"
        command = [program("node"), "-e", _NODE, str(port), code, str(answer)]
        environ = {"NODE_PATH": str(modules)}
        subprocess.run(command, env=environ, stdout=subprocess.DEVNULL, timeout=30, check=True)
        values = json.loads(answer.read_text())
        assert values["words"] == [0x1234, -0x8000, 7]
        assert values["bits"] == [True, False, True, False, False, True, True, False]
        assert values["input"] == [True, False, True, True]
        assert values["counter"] == 0x12345678

    seen_by(read, "1E", code, "FX3")
