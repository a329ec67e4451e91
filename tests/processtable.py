"""Who carries a state directory in its environment, read without any code of ours."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Seen(NamedTuple):
    """One live process and what its environment says."""

    pid: int
    name: str
    digest: str
    instance: str


def processes(state: Path) -> list[Seen]:
    """Every live process of a state directory; a zombie has no environment any more."""
    marker = f"DAQ_STATE_DIR={state}".encode()
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208  (hot path)
        if not entry.isdigit():
            continue
        try:
            parts = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if marker in parts:
            values = dict(part.decode(errors="replace").partition("=")[::2] for part in parts)
            found.append(
                Seen(int(entry), *(values.get(f"DAQ_{k}", "") for k in ("NAME", "DIGEST", "INSTANCE")))
            )
    return sorted(found)


def nurseries(state: Path) -> list[int]:
    """Those that fork for a state directory, found by their arguments."""
    found = _whose_arguments_end(f"\0collectors.nursery\0{state}")
    return [pid for pid in found if _parent(pid) not in found]  # one just forked says what its parent says


def spares(state: Path) -> list[int]:
    """Their children that have no name yet."""
    return _whose_arguments_end(f"\0collectors.nursery\0{state}\0spare")


def _whose_arguments_end(end: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if not entry.name.isdigit():
                continue
            if (entry / "cmdline").read_bytes().rstrip(b"\0 ").endswith(end.encode()):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def end_nurseries(state: Path) -> None:
    """Kill them; what they forked lives on."""
    for pid in nurseries(state):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def end_all(state: Path) -> None:
    """Kill until nothing of it is left."""
    deadline = time.monotonic() + 10
    while left := processes(state):
        for process in left:
            try:
                os.kill(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        assert time.monotonic() < deadline, f"cannot end {left}"
