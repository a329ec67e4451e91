"""The outboxes as a whole: each running collector's share of the disk, and those without a collector tended."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from collectors.contract import StateDir, Tended, monotonic, tend_outbox
from reconciler.loop.outcome import Look
from reconciler.model import Desired, Node
from reconciler.news import News
from reconciler.processes import Processes
from reconciler.shares import DEFAULT_BUFFER_PART, DEFAULT_BUFFER_TOTAL, shares, wanted

TEND_EVERY_S = 10.0

logger = logging.getLogger("daq.outboxes")


class Outboxes:
    """Divides ``--buffer-total``; drains, bounds and finally deletes what no collector is there to keep."""

    def __init__(self, state: StateDir, processes: Processes, node: Node) -> None:
        self._state = state
        self._processes = processes
        self._node = node
        self._tended_at = float("-inf")
        self._shares: dict[str, int] = {}
        self._for: Mapping[str, Any] | None = None
        self._dropped: dict[str, int] = {}

    def share(self, name: str, desired: Desired) -> int | None:
        """Bytes of the disk that the outbox of a collector may take; None for who has none."""
        if self._for is not desired.manifests:
            self._divide(desired)
        return self._shares.get(name)

    def tend(self, look: Look, statuses: Mapping[str, Mapping[str, Any]]) -> Iterator[News]:
        """Every 10 s: shares into live files; outboxes without a collector drained, and deleted with their manifest."""
        if monotonic() - self._tended_at < TEND_EVERY_S or not look.observed.complete:
            return
        self._tended_at = monotonic()
        self._divide(look.desired)
        self._tell_shares(look)
        for name in self._names():
            if look.observed.instances.get(name):
                continue
            gone = name not in look.desired.manifests and look.desired.unread is None
            if gone or statuses.get(name, {}).get("points", {}).get("queued"):
                yield from self._tend_one(name, gone=gone)

    def _names(self) -> list[str]:
        try:
            files = os.listdir(self._state.root / "outbox")  # noqa: PTH208  (hundreds of them)
        except FileNotFoundError:
            return []
        return sorted(file.removesuffix(".db") for file in files if file.endswith(".db") and file[0] != ".")

    def _divide(self, desired: Desired) -> None:
        """Divide what those without a share leave."""
        wants = wanted(desired)
        others = sum(self._size(name) for name in self._names() if name not in wants)
        self._shares, self._for = shares(wants, self._total() - others), desired.manifests

    def _total(self) -> int:
        if self._node.buffer_bytes is not None:
            return self._node.buffer_bytes
        disk = os.statvfs(self._state.root)
        return min(DEFAULT_BUFFER_TOTAL, int(disk.f_blocks * disk.f_frsize * DEFAULT_BUFFER_PART))

    def _size(self, name: str) -> int:
        path = self._state.outbox(name)
        return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.exists())

    def _tell_shares(self, look: Look) -> None:
        for name, share in self._shares.items():
            applied = look.observed.applied.get(name)
            if applied and applied.live.buffer_share != share and look.observed.instances.get(name):
                self._processes.update(name, replace(applied.live, buffer_share=share))

    def _tend_one(self, name: str, *, gone: bool) -> Iterator[News]:
        try:
            with self._processes.free(name) as free:
                tended = tend_outbox(self._state, name, remove=gone) if free else None
        except (sqlite3.Error, OSError) as error:
            logger.error("cannot tend the outbox of %s: %s", name, error)
            return
        if tended:
            yield from self._news(name, tended)

    def _news(self, name: str, tended: Tended) -> Iterator[News]:
        before = self._dropped.get(name, tended.dropped)
        self._dropped[name] = tended.dropped
        if tended.dropped > before:
            message = (
                f"{tended.dropped - before} points were too old or too many (spec.buffer); no collector runs"
            )
            yield News("DataDropped", message, name)
        if tended.removed:
            self._dropped.pop(name)
            dropped = f"; {tended.dropped} points were dropped in its life" if tended.dropped else ""
            yield News("OutboxRemoved", f"its manifest is gone and everything was delivered{dropped}", name)
