"""What was observed, made known: one snapshot in memory for the endpoint, the same objects in files.

Publishing costs the same whether anybody listens or not: whoever wants to see more than the snapshot holds makes it of
the values in it, in a thread of its own.

Files are replaced atomically. A name's file is rewritten when anything but its counters changed, else every
10 s: a write per collector and second would be the most expensive thing the reconciler does. ``status.json`` is made of
the texts of these files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, json_bytes, read_json, replace_file
from reconciler.model import Desired, History, Plan

REFRESH_S = 10.0

COUNTERS = frozenset({"cpu_percent", "memory_mb", "uptime_s", "points", "points_per_second", "buffer"})
UNCOUNTED = dict.fromkeys(COUNTERS)
DEVICE_COUNTERS = frozenset({"last_read_at", "reads", "errors", "late_cycles", "lost_values", "cycle_ms"})

logger = logging.getLogger("daq.publish")

Status = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is true as of one pass; `number` counts them from 1, 0 is before the first.

    ``document`` is the whole of status.json, ``lasting`` by name the part of a status object that is no counter.
    ``plan``, ``desired`` and ``histories`` are what the pass decided, from what, and what it remembers.
    """

    number: int = 0
    document: Mapping[str, Any] = field(default_factory=dict)
    lasting: Mapping[str, object] = field(default_factory=dict)
    plan: Plan = field(default_factory=lambda: Plan(()))
    desired: Desired = field(default_factory=lambda: Desired({}))
    histories: Mapping[str, History] = field(default_factory=dict)

    @property
    def processes(self) -> Sequence[Status]:
        """The status objects in name order."""
        found: Sequence[Status] = self.document.get("processes", ())
        return found

    def find(self, name: str) -> Status | None:
        """The status object of a name."""
        return next((p for p in self.processes if p["name"] == name), None)


class Publisher:
    """Holds the newest snapshot, tells listeners of it, and keeps the files in step with it.

    ``listeners`` are called in the thread of the passes, and must only wake somebody.
    """

    def __init__(self, state: StateDir) -> None:
        self.snapshot = Snapshot()
        self.state = state
        self.listeners: list[Callable[[], object]] = []
        self._written: dict[str, tuple[object, float]] = {}
        self._texts: dict[str, bytes] = {}

    @property
    def ready(self) -> bool:
        """Whether a first pass has been published."""
        return self.snapshot.number > 0

    def publish(
        self,
        document: Mapping[str, Any],
        now: float,
        *,
        plan: Plan,
        desired: Desired,
        histories: Mapping[str, History],
    ) -> None:
        """Take over `document` (the whole of status.json); `now` is monotonic seconds.

        A file that cannot be written is logged and tried again at the next pass: the truth in memory stands.
        """
        processes = document["processes"]
        before, known = {s["name"]: s for s in self.snapshot.processes}, self.snapshot.lasting
        lasting = {s["name"]: _lasting(s, before.get(s["name"]), known.get(s["name"])) for s in processes}
        self.snapshot = Snapshot(self.snapshot.number + 1, document, lasting, plan, desired, histories)
        for wake in self.listeners:
            wake()
        directory = self.state.root / "status"
        for status in processes:
            name = status["name"]
            if self._is_due(name, lasting[name], now):
                self._texts[name] = json_bytes(status)
                self._write(name, directory / f"{name}.json", self._texts[name], lasting[name], now)
        for name in self._texts.keys() - lasting.keys():
            self._remove(name, directory / f"{name}.json")
        written = [self._written[name][0] for name in lasting if name in self._written]
        whole = document["converged"], document["source"], written
        if self._is_due("", whole, now):
            self._write("", self.state.root / "status.json", self._whole(document), whole, now)

    def _whole(self, document: Mapping[str, Any]) -> bytes:
        frame = json_bytes({**document, "processes": []})
        return (
            frame.removesuffix(b"]}")
            + b",".join(self._texts[s["name"]] for s in document["processes"])
            + b"]}"
        )

    def _remove(self, name: str, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot remove %s: %s", path, error.strerror)
        else:
            del self._texts[name]
            self._written.pop(name, None)

    def _is_due(self, key: str, lasting: object, now: float) -> bool:
        before, at = self._written.get(key, (None, float("-inf")))
        return now - at >= REFRESH_S or not (before is lasting or before == lasting)

    def _write(self, key: str, path: Path, text: bytes, lasting: object, now: float) -> None:
        try:
            replace_file(path, text)
        except OSError as error:
            logger.warning("cannot write %s: %s", path, error.strerror)
        else:
            self._written[key] = lasting, now


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


def _lasting(status: Status, before: Status | None, known: object) -> object:
    """The part of a status object that is no counter; `known`, of the one before, where that says the same."""
    if status is before or (before is not None and {**status, **UNCOUNTED} == {**before, **UNCOUNTED}):
        return known
    kept = {k: v for k, v in status.items() if k not in COUNTERS}
    kept["devices"] = [{k: v for k, v in d.items() if k not in DEVICE_COUNTERS} for d in status["devices"]]
    return known if kept == known else kept
