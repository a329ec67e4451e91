"""The layout of a state directory; part of the contract."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StateDir:
    """The layout of a state directory; says where things are and touches nothing."""

    root: Path

    @property
    def database(self) -> Path:
        """The embedded database, written by the sender of the Sink ``local``."""
        return self.root / "data.db"

    def lock(self, name: str) -> Path:
        """Inherited by the child of that name; never removed."""
        return self.root / "locks" / name

    def spec(self, name: str, digest: str) -> Path:
        """A :class:`~collectors.contract.SpecFile`; immutable."""
        return self.root / "specs" / f"{name}.{digest}.json"

    def live(self, name: str) -> Path:
        """A :class:`~collectors.contract.LiveFile`; looked at by the child every second."""
        return self.root / "live" / f"{name}.json"

    def report(self, name: str) -> Path:
        """A :class:`~collectors.contract.Report`; written by the child."""
        return self.root / "reports" / f"{name}.json"

    def values(self, name: str) -> Path:
        """Newest values of a collector, written by it while they are wanted: :func:`read_values` reads them.

        ``{"at": epoch_s, "values": [{device, tag, value, unit, quality, at, raw}, …]}``, one entry per field; ``raw``
        are the words ``0x1234 0x5678`` (bits ``1``; "" where the protocol has none); ``value`` is null where there is
        none, ``at`` (epoch seconds) where the tag was never read. ``reason`` stands besides where there is one.
        """
        return self.root / "values" / f"{name}.json"

    def values_wanted(self, name: str) -> Path:
        """An empty file, made by the collector; who wants newest values sets its modification time."""
        return self.root / "values" / f"{name}.wanted"

    def outbox(self, name: str) -> Path:
        """SQLite database; its only writer is the collector of that name."""
        return self.root / "outbox" / f"{name}.db"

    def cursors(self, sink: str) -> Path:
        """SQLite database; its only writer is the sender of that sink."""
        return self.root / "cursors" / f"{sink}.db"

    def sinks_with_cursors(self) -> list[str]:
        """Names of the sinks whose sender was ever started."""
        return sorted(path.stem for path in (self.root / "cursors").glob("*.db"))

    def dead_letters(self, sink: str) -> Path:
        """One JSON object per line that the sink refused for good; appended by its sender."""
        return self.root / "dead-letter" / f"{sink}.ndjson"

    @property
    def pki(self) -> Path:
        """Certificates of OPC UA: our ``own/``, and those of servers, ``trusted/`` or ``rejected/``."""
        return self.root / "pki"

    def exit(self, instance: str) -> Path:
        """An :class:`~collectors.contract.ExitFile`; written by the nursery, its parent."""
        return self.root / "exits" / f"{instance}.json"

    def log(self, name: str) -> Path:
        """Output of the child, appended."""
        return self.root / "logs" / f"{name}.log"
