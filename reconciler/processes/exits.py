"""How children of nurseries ended, also those that no reconciler saw: ``exits/<instance>.json``."""

from __future__ import annotations

import logging
from collections.abc import Collection

from collectors.contract import ExitFile, StateDir, read_json

logger = logging.getLogger("daq.processes")


class Exits:
    """The exits of a state directory."""

    def __init__(self, state: StateDir) -> None:
        self._state = state

    def get(self, instance: str) -> ExitFile | None:
        """None where none was kept, or it cannot be read."""
        path = self._state.exit(instance)
        try:
            return ExitFile(**read_json(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("cannot read %s, passed over: %s", path, error)
            return None

    def prune(self, keep: Collection[str]) -> None:
        """Remove those of all other instances. Raises OSError."""
        for path in (self._state.root / "exits").glob("[!.]*.json"):
            if path.stem not in keep:
                path.unlink(missing_ok=True)
