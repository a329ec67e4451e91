"""Counting what a process does to the world, to kill it at the n-th step."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR
CALLS: tuple[tuple[Any, str, str], ...] = (
    (subprocess, "_fork_exec", "spawn"),
    (signal, "pidfd_send_signal", "signal"),
    (os, "waitid", "reap"),
    (socket, "send_fds", "birth"),
    (socket, "recv_fds", "answer"),
    (os, "fsync", "fsync"),
)


class Steps:
    """Watches this process for good; `taken` lists its steps, at number `kill_at` (from 1) it dies by SIGKILL."""

    def __init__(self, root: Path, kill_at: int | None, note: Callable[[str], None]) -> None:
        self.taken = 0
        self._root = str(root)
        self._kill_at = kill_at
        self._note = note
        for module, name, step in CALLS:
            setattr(module, name, self._around(getattr(module, name), step))
        sys.addaudithook(self._audit)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            self._on_path("write", arguments[0])
        elif event == "os.rename":
            self._on_path("rename", arguments[1])
        elif event == "os.remove":
            self._on_path("remove", arguments[0])

    def _on_path(self, step: str, path: Any) -> None:
        text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if text.startswith(self._root):
            self._take(f"{step} {text.removeprefix(self._root).split('/')[1]}")

    def _around(self, call: Callable[..., Any], step: str) -> Callable[..., Any]:
        def counted(*arguments: Any, **more: Any) -> Any:
            self._take(f"before {step}")
            result = call(*arguments, **more)
            self._take(f"after {step}")
            return result

        return counted

    def _take(self, step: str) -> None:
        self.taken += 1
        if self.taken == self._kill_at:
            self._note(step)
            os.kill(os.getpid(), signal.SIGKILL)
