"""`daq simulate` as a user runs it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

from collectors.simulate.modbus import serve
from tests.simulators.modbus_peer import PATIENCE_S, READ_ONE, tcp_answer, tcp_request

COMMAND = [str(Path(sys.executable).with_name("daq")), "simulate", "modbus", "--port"]


def test_it_says_where_it_listens_and_sigterm_ends_it_with_0_under_an_open_connection() -> None:
    with subprocess.Popen([*COMMAND, "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        announced = process.stdout.readline()
        assert announced.startswith("modbus simulator on 127.0.0.1:")
        port = int(announced.rpartition(":")[2])

        async def connect_and_end_it() -> int:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(tcp_request(READ_ONE))
            await tcp_answer(reader)
            process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(process.wait, PATIENCE_S)
            writer.transport.abort()
            return code

        assert asyncio.run(connect_and_end_it()) == 0


def test_a_taken_port_is_a_clear_failure() -> None:
    async def main() -> None:
        async with serve() as device:
            ended = await asyncio.to_thread(
                subprocess.run, [*COMMAND, str(device.port)], capture_output=True, text=True, check=False
            )
            assert ended.returncode == 1
            assert ended.stderr == f"cannot listen on 127.0.0.1:{device.port}: Address already in use\n"

    asyncio.run(main())


def test_a_fault_that_cannot_be_read_is_refused_with_an_example() -> None:
    ended = subprocess.run(
        [*COMMAND, "0", "--illegal", "tank:1"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "holding:900" in ended.stderr
