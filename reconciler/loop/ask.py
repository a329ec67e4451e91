"""Asking the running loop over its socket ``<state-dir>/control.sock`` (0600, this uid only): one JSON object there,
one back.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from typing import Any

from collectors.contract import StateDir
from collectors.socketpath import socket_path

NAME = "control.sock"


class UnreachableError(Exception):
    """No loop answers on the socket of this state directory."""


def answers(state: StateDir) -> bool:
    """Whether a loop listens for this state directory."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock, socket_path(state.root, NAME) as path:
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
            with socket_path(state.root, NAME) as path:
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
