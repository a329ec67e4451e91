"""What is remembered of each name between passes and between reconcilers: ``<state-dir>/records/<name>.json``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, monotonic, read_json, write_json
from reconciler.model import History
from reconciler.processes import state_id
from reconciler.restarts import history_from_json, history_to_json

SYNC_S = 0.05
"""So long one save may wait for the disk; the rest is made durable by the next ones."""

logger = logging.getLogger("daq.records")


class Records:
    """The histories, in memory and on disk; only differences are written.

    The truth is in memory: what cannot be written (a full disk) is tried again at every save. What is written outlives
    this process at once, the machine's end only when it is `durable`: no process outlives that either, and a start
    must not wait for a slow disk.
    """

    def __init__(self, state: StateDir) -> None:
        """Read all records. One that cannot be read is set aside as ``.broken``, that of a copied directory ignored."""
        self._directory = state.root / "records"
        self._state_id = state_id(state)
        self._written: dict[str, History] = {}
        self._fleeting: set[str] = set()
        for path in sorted(self._directory.glob("[!.]*.json")):
            try:
                value = read_json(path)
                history = history_from_json(value)
                if value.get("state_id") == self._state_id:
                    self._written[path.stem] = history
            except (OSError, ValueError) as error:
                _set_aside(path, error)
        self.histories: Mapping[str, History] = dict(self._written)

    def save(self, histories: Mapping[str, History], *, durable: bool = True) -> None:
        """Keep `histories` from now on; a name that is missing there is forgotten."""
        self.histories = dict(histories)
        until = monotonic() + SYNC_S
        for name, history in histories.items():
            durable = durable and monotonic() < until
            written = self._written.get(name)
            if (written is not history and written != history) or (durable and name in self._fleeting):
                self._write(name, history, durable=durable)
        for name in self._written.keys() - histories.keys():
            try:
                self._path(name).unlink(missing_ok=True)
                del self._written[name]
                self._fleeting.discard(name)
            except OSError as error:
                logger.warning("cannot remove %s: %s", self._path(name), error)

    def put(self, name: str, history: History) -> None:
        """Keep one name's, not durable yet."""
        self.save({**self.histories, name: history}, durable=False)

    def _write(self, name: str, history: History, *, durable: bool) -> None:
        value: dict[str, Any] = {"state_id": self._state_id, **history_to_json(history)}
        try:
            write_json(self._path(name), value, durable=durable)
            self._written[name] = history
            (self._fleeting.discard if durable else self._fleeting.add)(name)
        except OSError as error:
            logger.warning("cannot write %s, tried again at the next pass: %s", self._path(name), error)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.json"


def _set_aside(path: Path, error: Exception) -> None:
    logger.error("cannot read %s, set aside: %s", path, error)
    try:
        path.replace(path.with_suffix(".broken"))
    except OSError as failure:
        logger.warning("cannot set %s aside: %s", path, failure)
