"""A process held by descriptor: its number cannot be taken over by another while we look at or signal it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.model import ProcessId
from reconciler.processes import proctable

REAP_WAIT_MS = 20
"""How long an adopted process's new parent may take to reap it, where only that makes the kernel tell the status."""

_PIDFD_GET_INFO = 0xC040FF0B
"""_IOWR(0xFF, 11, struct pidfd_info), 64 bytes: linux/pidfd.h, since 6.13; exit status since 6.15."""
_INFO_EXIT = 1 << 3
_EXIT_CODE_OFFSET = 60


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended; both None where nobody can tell."""

    code: int | None = None
    signal: int | None = None
    observed_by: Literal["wait", "pidfd", "parent", "none"] = "none"


def open_pidfd(pid: int) -> int | None:
    """None where the process has gone. Raises OSError."""
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def is_dead(fd: int) -> bool:
    """Dead = readable: every thread has left. State Z alone may be a leader whose threads live on."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))


def is_reaped(fd: int) -> bool:
    """Whether its number may be another's by now (pidfd_open(2): fdinfo says ``Pid: -1``). Raises OSError."""
    for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
        if line.startswith("Pid:"):
            return int(line.split()[1]) < 0
    return False


def is_dead_pid(pid: int) -> bool:
    """The same for a number. Raises OSError."""
    fd = open_pidfd(pid)
    if fd is None:
        return True
    try:
        return is_dead(fd)
    finally:
        os.close(fd)


def reap(fd: int, process: ProcessId) -> Exit:
    """How the dead `process`, held by `fd`, ended: by wait for our own child, else as the kernel tells it."""
    try:
        result = os.waitid(os.P_PIDFD, fd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return _of_zombie(process) or _ask_kernel(fd)
    if result is None:
        return Exit()
    if result.si_code == os.CLD_EXITED:
        return Exit(code=result.si_status, observed_by="wait")
    return Exit(signal=result.si_status, observed_by="wait")


def _of_zombie(process: ProcessId) -> Exit | None:
    """How it ended, while its parent (an init may take long) has not reaped it. Not told of status 0, which is also
    that of a main thread that left before the others, and what another user's process shows.
    """
    stat = proctable.stat(process.pid)
    if stat is None or stat.start_ticks != process.start_ticks or not stat.zombie or not stat.exit_status:
        return None
    return _told(stat.exit_status)


def _ask_kernel(fd: int) -> Exit:
    poll = select.poll()
    poll.register(fd, 0)  # POLLHUP = reaped, since Linux 6.9
    poll.poll(REAP_WAIT_MS)
    info = bytearray(struct.pack("=Q", _INFO_EXIT).ljust(64, b"\0"))
    try:
        fcntl.ioctl(fd, _PIDFD_GET_INFO, info)
    except OSError as error:
        if error.errno in (errno.ENOTTY, errno.EINVAL, errno.ESRCH):  # an older kernel, or not told
            return Exit()
        raise
    (mask,) = struct.unpack_from("=Q", info)
    if not mask & _INFO_EXIT:
        return Exit()
    (status,) = struct.unpack_from("=i", info, _EXIT_CODE_OFFSET)
    return _told(status)


def _told(status: int) -> Exit:
    if os.WIFSIGNALED(status):
        return Exit(signal=os.WTERMSIG(status), observed_by="pidfd")
    return Exit(code=os.WEXITSTATUS(status), observed_by="pidfd")


@contextlib.contextmanager
def verified(pid: int, is_it: Callable[[int], bool]) -> Iterator[int | None]:
    """A pidfd of `pid` for which `is_it` held *after* opening, and which was alive after that; else None."""
    fd = open_pidfd(pid)
    try:
        yield fd if fd is not None and is_it(pid) and not is_dead(fd) else None
    finally:
        if fd is not None:
            os.close(fd)


def send(pid: int, number: signal.Signals, is_it: Callable[[int], bool]) -> bool:
    """Signal a process that is proven to be the one meant; False where it is not, or not any more. Raises
    OSError.
    """
    with verified(pid, is_it) as fd:
        if fd is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)
        return True
