"""What is on disk of the last start of each name, written before the child exists: ``intents/<name>.json``.

Never trusted to say that a process lives; it says which start there was to account for, and which session it
led.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from collectors.contract import StateDir, read_json, write_json
from reconciler.model import ProcessId, Stopping
from reconciler.processes.identity import state_id

logger = logging.getLogger("daq.processes")


@dataclass(frozen=True, slots=True)
class Intent:
    """One start; `log_from` is where its output begins, `leader` None until the child is known to run.

    `stopping` is noted before the signal goes out, `sent` after it: in between nobody knows whether it was asked.
    """

    instance: str
    digest: str
    boot_id: str
    log_from: int = 0
    leader: ProcessId | None = None
    stopping: Stopping | None = None
    sent: bool = False


KNOWN = {f.name for f in fields(Intent)}
"""Keys of a newer version are passed over."""


class Intents:
    """The intents of a state directory, read once and then written through."""

    def __init__(self, state: StateDir) -> None:
        self._directory = state.root / "intents"
        self._state_id = state_id(state)
        self.by_name: dict[str, Intent] = {}
        for path in self._directory.glob("*.json"):
            intent = self._read(path)
            if intent:
                self.by_name[path.stem] = intent

    def put(self, name: str, intent: Intent) -> None:
        """On disk for every reconciler of this boot, which is what it is about. Raises OSError."""
        value = {"state_id": self._state_id, **asdict(intent)}
        write_json(self._directory / f"{name}.json", value)
        self.by_name[name] = intent

    def drop(self, name: str) -> None:
        """Forget it; a file that cannot be removed is logged, and told of again by the next reconciler."""
        self.by_name.pop(name, None)
        path = self._directory / f"{name}.json"
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot remove %s: %s", path, error)

    def _read(self, path: Path) -> Intent | None:
        try:
            value = read_json(path)
            if value.pop("state_id") != self._state_id:
                return None  # this directory is a copy
            leader, stopping = value.pop("leader"), value.pop("stopping")
            return Intent(
                **{k: v for k, v in value.items() if k in KNOWN},
                leader=ProcessId(**leader) if leader else None,
                stopping=Stopping(**stopping) if stopping else None,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("cannot read %s, passed over: %s", path, error)
            return None
