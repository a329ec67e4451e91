"""What the nursery does before it forks: a life of one collector of each protocol, and no holes."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from collectors.nursery.rehearsal import rehearse
from collectors.simulate import modbus

HOLES = """
import ctypes
from collectors.nursery import holes
kept = [bytes(n) for n in range(600, 9000)]
del kept[::2]                                        # as imports do: free chunks between ones that stay
libc = ctypes.CDLL(None)
libc.mallinfo2.restype = holes._Mallinfo2
def free(): return libc.mallinfo2().fordblks - libc.mallinfo2().keepcost
before = free()
filled = holes.fill()
print(before, free())
"""


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_every_protocol_is_rehearsed_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    descriptors, threads = _descriptors(), threading.active_count()
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    served: list[str] = []
    caplog.set_level(logging.DEBUG, logger="asyncio")
    monkeypatch.setattr("collectors.outbox.writing.Outbox.append", _counting(served))
    rehearse()
    assert set(served) == {"modbus", "melsec", "opcua"}
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert _descriptors() == descriptors
    assert threading.active_count() == threads
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    assert list(tmp_path.iterdir()) == []


def _counting(served: list[str]) -> object:
    from collectors.outbox.writing import Outbox

    append = Outbox.append

    def counted(outbox: Outbox, lines: bytes, points: int, sinks: tuple[str, ...]) -> None:
        served.append(outbox._name)
        append(outbox, lines, points, sinks)

    return counted


def test_one_that_fails_is_told_and_costs_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served: list[str] = []
    monkeypatch.setattr("collectors.outbox.writing.Outbox.append", _counting(served))
    monkeypatch.setattr(modbus, "serve", _refused)
    rehearse()
    told = [r.getMessage() for r in caplog.records if "cannot rehearse" in r.getMessage()]
    assert told == ["cannot rehearse a collector: no port; children will take more memory"]
    assert set(served) == {"melsec", "opcua"}


def _refused() -> None:
    raise OSError("no port")


def test_no_hole_is_left_in_the_heap() -> None:
    said = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True).stdout
    before, after = map(int, said.split())
    assert before > 8 << 20
    assert after < 64 << 10
