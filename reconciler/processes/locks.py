"""The lock of a name: an exclusive flock on an open file description that the child inherits.

Held, it proves that something of that name lives; free, it proves nothing. It is given up by closing
descriptors only (LOCK_UN would free it under the child that shares it), and lock files are never removed.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from reconciler.model import Holder
from reconciler.processes import proctable


def take(path: Path) -> int | None:
    """A descriptor that holds the lock, or None where another holds it. Raises OSError."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except BaseException:
        os.close(fd)
        raise
    return fd


def is_held(path: Path) -> bool:
    """Whether anyone holds the lock; works on a read-only file system too. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def holder(path: Path) -> Holder:
    """Who holds the lock, looked up by open descriptors: /proc/locks names only the one who took it first."""
    status = path.stat()
    inode = (status.st_dev, status.st_ino)
    for pid in proctable.pids():
        if pid != os.getpid() and _holds(pid, inode):
            return Holder(pid, " ".join(" ".join(proctable.command(pid)).split())[:200])
    return Holder(None, "a process that is not visible from here (another PID namespace, or another user?)")


def _holds(pid: int, inode: tuple[int, int]) -> bool:
    """Whether a descriptor of `pid` is of that inode and carries a lock (proc_pid_fdinfo(5): lines
    `lock:`).
    """
    try:
        for fd in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            status = os.stat(f"/proc/{pid}/fd/{fd}")  # noqa: PTH116  (a hot path: no Path objects)
            if (status.st_dev, status.st_ino) == inode:
                with open(f"/proc/{pid}/fdinfo/{fd}", "rb") as info:  # noqa: PTH123
                    if b"\nlock:" in info.read():
                        return True
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # gone, or another user's
    return False
