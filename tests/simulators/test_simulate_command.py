"""`daq simulate` as a user runs it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymcprotocol
import pytest

from collectors.simulate.modbus import serve
from tests.simulators.modbus_peer import PATIENCE_S, connected

SIMULATE = [str(Path(sys.executable).with_name("daq")), "simulate"]
COMMAND = [*SIMULATE, "modbus"]


@contextmanager
def running(*options: str, protocol: str = "modbus") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The command on a free port, and that port, once it says that it listens."""
    command = [*SIMULATE, protocol, "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            announced = process.stdout.readline()
            assert announced.startswith(f"{protocol} simulator on 127.0.0.1:")
            yield process, int(announced.rpartition(":")[2])
        finally:
            process.terminate()


def test_sigterm_ends_it_with_0_under_an_open_connection() -> None:
    with running() as (process, port):

        async def end_it() -> int:
            async with connected(port) as client:
                assert not (await client.read_coils(0, count=1, device_id=2)).isError()
                process.send_signal(signal.SIGTERM)
                return await asyncio.to_thread(process.wait, PATIENCE_S)

        assert asyncio.run(end_it()) == 0


def test_faults_are_options() -> None:
    async def main(port: int) -> None:
        async with connected(port) as client:
            refused = await client.read_holding_registers(899, count=2, device_id=1)
            assert refused.exception_code == 2
            busy = await client.read_coils(3, count=2, device_id=1)
            assert busy.exception_code == 6
            silent = await client.read_holding_registers(0, count=1, device_id=2)
            assert silent.exception_code == 0x0B

    options = (
        "--illegal",
        "holding:900",
        "--exception",
        "coil:4=06",
        "--silent-unit",
        "2",
        "--gateway",
        "--split",
        "--delay",
        "1ms",
    )
    with running(*options) as (_, port):
        asyncio.run(main(port))


def test_a_taken_port_is_a_clear_failure() -> None:
    async def main() -> None:
        async with serve() as device:
            command = [*COMMAND, "--port", str(device.port)]
            ended = await asyncio.to_thread(
                subprocess.run, command, capture_output=True, text=True, check=False
            )
            assert ended.returncode == 1
            assert ended.stderr == f"cannot listen on 127.0.0.1:{device.port}: Address already in use\n"

    asyncio.run(main())


def test_a_fault_that_cannot_be_read_is_refused_with_an_example() -> None:
    command = [*COMMAND, "--port", "0", "--illegal", "tank:1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "holding:900" in ended.stderr


def test_a_plc_is_simulated_with_its_frame_code_series_and_faults() -> None:
    options = ("--frame", "3E", "--code", "ascii", "--series", "Q", "--illegal", "D900")
    with running(*options, protocol="melsec") as (process, port):
        client = pymcprotocol.Type3E()
        client.setaccessopt(commtype="ascii")
        client.connect("127.0.0.1", port)
        with pytest.raises(pymcprotocol.mcprotocolerror.MCProtocolError, match="0x4031"):
            client.batchread_wordunits("D899", 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        client.close()


def test_a_device_that_cannot_be_read_is_refused_with_an_example() -> None:
    command = [*SIMULATE, "melsec", "--port", "0", "--illegal", "holding:1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "D900" in ended.stderr
