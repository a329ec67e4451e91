"""What was observed, made known: one snapshot in memory for the endpoint, the same objects in files.

Files are replaced atomically. A name's file is rewritten when anything but its counters changed, else every
10 s: a write per collector and second would be the most expensive thing the reconciler does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, read_json, write_json

REFRESH_S = 10.0

COUNTERS = frozenset({"cpu_percent", "memory_mb", "uptime_s", "points", "points_per_second"})
DEVICE_COUNTERS = frozenset({"last_read_at", "reads", "errors", "late_cycles", "lost_values", "cycle_ms"})

logger = logging.getLogger("daq.publish")

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is true as of one pass: status objects in name order, the document of status.json around them."""

    processes: Sequence[Status] = ()
    document: Mapping[str, Any] = field(default_factory=dict)

    def find(self, name: str) -> Status | None:
        """The status object of a name."""
        return next((p for p in self.processes if p["name"] == name), None)


class Publisher:
    """Holds the newest snapshot and keeps the files in step with it."""

    def __init__(self, state: StateDir) -> None:
        self.snapshot = Snapshot()
        self.state = state
        self._written: dict[str, tuple[object, float]] = {}

    @property
    def ready(self) -> bool:
        """Whether a first pass has been published."""
        return bool(self.snapshot.document)

    def publish(self, document: Mapping[str, Any], now: float) -> None:
        """Take over `document` (the whole of status.json); `now` is monotonic seconds.

        A file that cannot be written is logged and tried again at the next pass: the truth in memory stands.
        """
        processes = document["processes"]
        self.snapshot = Snapshot(processes, document)
        directory = self.state.root / "status"
        for status in processes:
            self._write(status["name"], directory / f"{status['name']}.json", status, _lasting(status), now)
        gone = self._written.keys() - {p["name"] for p in processes} - {""}
        for name in gone:
            self._remove(name, directory / f"{name}.json")
        lasting = [self._written[p["name"]][0] for p in processes if p["name"] in self._written]
        self._write(
            "",
            self.state.root / "status.json",
            document,
            (document["converged"], document["source"], lasting),
            now,
        )

    def _remove(self, name: str, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot remove %s: %s", path, error.strerror)
        else:
            del self._written[name]

    def _write(self, key: str, path: Any, value: Mapping[str, Any], lasting: object, now: float) -> None:
        before, at = self._written.get(key, (None, float("-inf")))
        if before == lasting and now - at < REFRESH_S:
            return
        try:
            write_json(path, value)
        except OSError as error:
            logger.warning("cannot write %s: %s", path, error.strerror)
        else:
            self._written[key] = (lasting, now)


def last_published(state: StateDir) -> Mapping[str, Any]:
    """The status.json of the reconciler before, so that a condition's `since` outlives it; empty without one."""
    try:
        document: Mapping[str, Any] = read_json(state.root / "status.json")
        return document if all("name" in s and "last_error" in s for s in document["processes"]) else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        logger.warning("cannot read the last status, passed over: %s", error)
        return {}


def _lasting(status: Status) -> dict[str, Any]:
    """The part of a status object that is no counter."""
    kept = {k: v for k, v in status.items() if k not in COUNTERS}
    kept["devices"] = [{k: v for k, v in d.items() if k not in DEVICE_COUNTERS} for d in status["devices"]]
    return kept
