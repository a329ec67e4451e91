"""Where a unix socket of a state directory is bound and found.

Through the directory's descriptor: a path longer than the 107 bytes of a socket address would fail otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def socket_path(directory: Path, name: str) -> Iterator[str]:
    """The path of the socket, as long as the context lasts. Raises OSError."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)
