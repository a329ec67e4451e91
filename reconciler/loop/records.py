"""What is remembered of each name between passes and between reconcilers: ``<state-dir>/records/<name>.json``."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from collectors.contract import StateDir, read_json, write_json
from reconciler.model import History
from reconciler.restarts import history_from_json, history_to_json

logger = logging.getLogger("daq.records")


class Records:
    """The histories, in memory and on disk; only differences are written."""

    def __init__(self, state: StateDir) -> None:
        """Read all records. One that cannot be read is set aside as ``.broken`` and logged."""
        self._directory = state.root / "records"
        self.histories: Mapping[str, History] = {}
        found = {}
        for path in sorted(self._directory.glob("[!.]*.json")):
            try:
                found[path.stem] = history_from_json(read_json(path))
            except (OSError, ValueError) as error:
                logger.error("cannot read %s, set aside: %s", path, error)
                path.replace(path.with_suffix(".broken"))
        self.histories = found

    def save(self, histories: Mapping[str, History]) -> None:
        """Keep `histories` from now on; a name that is missing there is forgotten. Raises OSError."""
        for name, history in histories.items():
            if self.histories.get(name) != history:
                write_json(self._directory / f"{name}.json", history_to_json(history), durable=True)
        for name in self.histories.keys() - histories.keys():
            (self._directory / f"{name}.json").unlink(missing_ok=True)
        self.histories = histories
