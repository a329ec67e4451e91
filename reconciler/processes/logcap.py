"""Keeping a log below its cap by cutting off its head while children append to it.

The kernel collapses whole blocks out of the front of a file where the file system can (ext4, XFS); nothing that is
written meanwhile is lost. Elsewhere the newest half is copied and the file truncated: what is written between the two
is lost. Punching holes instead would leave files that look ever larger to copy tools.
"""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from pathlib import Path

CAP_BYTES = 10 * 1024 * 1024
COLLAPSE_RANGE = 0x08
"""FALLOC_FL_COLLAPSE_RANGE of linux/falloc.h."""
UNABLE = frozenset({errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ETXTBSY})

_libc = ctypes.CDLL(None, use_errno=True)


def cut_head(path: Path, cap: int = CAP_BYTES) -> int:
    """Cut a log that is larger than `cap` to about half of that; returns the bytes cut off. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        status = os.fstat(fd)
        if status.st_size <= cap:
            return 0
        length = (status.st_size - cap // 2) // status.st_blksize * status.st_blksize
        if not _collapse(fd, length):
            _copy_truncate(fd, length)
        return length
    finally:
        os.close(fd)


def can_collapse(directory: Path) -> bool:
    """Whether logs below `directory` lose nothing when they are cut. Raises OSError."""
    with tempfile.TemporaryFile(dir=directory) as file:
        block = os.fstat(file.fileno()).st_blksize
        file.truncate(2 * block)
        return _collapse(file.fileno(), block)


def _collapse(fd: int, length: int) -> bool:
    done = _libc.fallocate(fd, COLLAPSE_RANGE, ctypes.c_int64(0), ctypes.c_int64(length))
    if done == 0:
        return True
    if (code := ctypes.get_errno()) in UNABLE:
        return False
    raise OSError(code, os.strerror(code))


def _copy_truncate(fd: int, begin: int) -> None:
    os.lseek(fd, begin, os.SEEK_SET)
    with os.fdopen(os.dup(fd), "rb") as file:
        kept = file.read()
    os.ftruncate(fd, 0)
    os.write(fd, kept)
