"""The socket on which a running loop answers commands (see ``ask``), for this uid only."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, monotonic
from collectors.socketpath import socket_path
from reconciler.loop.ask import NAME, answers
from reconciler.processes import StateDirError, lock_instance

LIMIT = 65536
LOCK_LOOK_S = 0.25

logger = logging.getLogger("daq.control")

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


async def listen(state: StateDir, answer: Answer) -> asyncio.Server:
    """Serve `answer` until the returned server is closed. The caller holds the instance lock. Raises OSError."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            _, uid, _ = struct.unpack("3i", peer)
            if uid not in (os.getuid(), 0):
                return
            line = await reader.readline()
            if not line:
                return
            request = json.loads(line)
            reply = await answer(request)
            writer.write(json.dumps(reply, ensure_ascii=False).encode() + b"\n")
            await writer.drain()
        except (ValueError, ConnectionError) as error:
            logger.warning("a request on the control socket was dropped: %s", error)
        finally:
            writer.close()

    make_way(state.root / NAME)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket_path(state.root, NAME) as path:
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
    return await asyncio.start_unix_server(serve, sock=sock, limit=LIMIT)


def make_way(socket: Path) -> None:
    """Remove what lies where a socket is to be. Raises OSError."""
    try:
        socket.unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # not ours: it must not keep the loop from starting
        socket.rename(socket.with_name(f"{socket.name}.broken"))


def lock_when_free(state: StateDir, wait_s: float) -> int:
    """The instance lock, waited for `wait_s` at most, and not at all behind a loop, which never gives it up.

    Raises StateDirError that names the holder.
    """
    end = monotonic() + wait_s
    while True:
        try:
            return lock_instance(state)
        except StateDirError:
            if monotonic() >= end or answers(state):
                raise
        time.sleep(LOCK_LOOK_S)
