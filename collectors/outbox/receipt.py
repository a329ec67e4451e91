"""What was acquired, noted beside the outbox with every commit: so that what is missing after damage is known.

Of a damaged log SQLite takes, without a word, what stands before the damage, and whoever opens the database first,
be it a sender or the ``sqlite3`` program, may have done so before its collector looks. The receipt still has the
counts.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Receipt:
    """Points `acquired` by sink up to row `last` of the outbox `uuid`; rows up to `synced` were on disk.

    After another boot than `boot` rows behind `synced` may be missing: the power was cut.
    """

    uuid: str = ""
    boot: str = ""
    last: int = 0
    synced: int = 0
    acquired: Mapping[str, int] = field(default_factory=dict)

    def encode(self) -> bytes:
        """One line, with a checksum: a power cut may leave half of it."""
        sinks = " ".join(f"{sink}={points}" for sink, points in self.acquired.items())
        text = f"{self.uuid} {self.boot} {self.last} {self.synced} {sinks}".encode()
        return b"%08x %s\n" % (zlib.crc32(text), text)

    @classmethod
    def decode(cls, data: bytes) -> Self | None:
        """None for what is not whole."""
        checksum, _, text = data.partition(b"\n")[0].partition(b" ")
        if checksum != b"%08x" % zlib.crc32(text):
            return None
        uuid, boot, last, synced, *sinks = text.decode().split()
        acquired = {sink: int(points) for sink, _, points in (entry.partition("=") for entry in sinks)}
        return cls(uuid, boot, int(last), int(synced), acquired)


class ReceiptFile:
    """The receipt of one outbox, for its writer. `newest` is what was found or written last."""

    def __init__(self, outbox: Path) -> None:
        """Open it, or make it. Raises OSError."""
        self.path = path_of(outbox)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.newest = Receipt.decode(os.pread(self._fd, _MOST_BYTES, 0)) or Receipt()

    def write(self, receipt: Receipt) -> None:
        """Replace it, in place: it costs no more than one page now and then."""
        self.newest = receipt
        with suppress(
            OSError
        ):  # what it speaks of is stored; an older one knows of less, and of nothing wrong
            os.pwrite(self._fd, receipt.encode(), 0)

    def close(self) -> None:
        """Release it."""
        os.close(self._fd)


def path_of(outbox: Path) -> Path:
    """Where the receipt of an outbox lies."""
    return outbox.with_name(f"{outbox.name}.receipt")
