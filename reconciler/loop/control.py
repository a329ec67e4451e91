"""The socket by which commands ask a running loop: one JSON object there, one back.

``<state-dir>/control.sock`` (0600, this uid only) is bound and connected through the directory's descriptor: a path
longer than the 107 bytes of a socket address would fail otherwise.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from collectors.contract import StateDir, monotonic
from reconciler.processes import StateDirError, lock_instance

NAME = "control.sock"
LIMIT = 65536
LOCK_LOOK_S = 0.25

logger = logging.getLogger("daq.control")

Answer = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, Any]]]


class UnreachableError(Exception):
    """No loop answers on the socket of this state directory."""


@contextmanager
def _address(state: StateDir) -> Iterator[str]:
    fd = os.open(state.root, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)


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

    try:
        (state.root / NAME).unlink(missing_ok=True)
    except (IsADirectoryError, PermissionError):  # not ours: it must not keep the loop from starting
        (state.root / NAME).rename(state.root / f"{NAME}.broken")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with _address(state) as path:
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
    return await asyncio.start_unix_server(serve, sock=sock, limit=LIMIT)


def answers(state: StateDir) -> bool:
    """Whether a loop listens for this state directory."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, _address(state) as path:
            sock.connect(path)
    except OSError:
        return False
    return True


def ask(state: StateDir, request: Mapping[str, Any], timeout_s: float) -> Mapping[str, Any]:
    """Send `request` to the running loop and wait for its reply.

    Raises UnreachableError where no loop listens or it ended before it answered, TimeoutError after `timeout_s`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout_s)
        try:
            with _address(state) as path:
                sock.connect(path)
            sock.sendall(json.dumps(request, ensure_ascii=False).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
        except TimeoutError:
            raise
        except OSError as error:
            raise UnreachableError(str(error)) from error
        if not line:
            raise UnreachableError("the loop ended before it answered")
        reply: Mapping[str, Any] = json.loads(line)
        return reply


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
