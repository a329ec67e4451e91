"""What people asked for that no manifest says: pauses and restarts, in ``<state-dir>/overrides.json``."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from collectors.contract import StateDir, read_json, write_json
from reconciler.model import Pause

logger = logging.getLogger("daq.overrides")


class Overrides:
    """Pauses by name, and by name the instances that a restart is to replace; changes are on disk first.

    A restart names instances, so that it happens once whatever is killed in between.
    """

    def __init__(self, state: StateDir) -> None:
        """Read what is stored. A file that cannot be read is passed over and logged."""
        self._path = state.root / "overrides.json"
        self.pauses: Mapping[str, Pause] = {}
        self.restarts: Mapping[str, tuple[str, ...]] = {}
        try:
            stored = read_json(self._path)
            self.pauses = {name: Pause(**pause) for name, pause in stored["pauses"].items()}
            self.restarts = {name: tuple(map(str, old)) for name, old in stored["restarts"].items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.error("cannot read %s, passed over: %s", self._path, error)

    def pause(self, names: Iterable[str], pause: Pause) -> None:
        """From now on, in place of what paused them before. Raises OSError."""
        self._store({**self.pauses, **dict.fromkeys(names, pause)}, self.restarts)

    def resume(self, names: Iterable[str]) -> None:
        """Names that are not paused are passed over. Raises OSError."""
        ended = set(names)
        self._store({n: p for n, p in self.pauses.items() if n not in ended}, self.restarts)

    def restart(self, instances: Mapping[str, tuple[str, ...]]) -> None:
        """Have these instances replaced, once. Raises OSError."""
        self._store(self.pauses, {**self.restarts, **instances})

    def forget_past(self, alive: Mapping[str, Iterable[str]], wall: float) -> None:
        """Drop pauses that ran out and restarts whose instances are gone, at a later pass if not now."""
        pauses = {name: p for name, p in self.pauses.items() if wall < p.until_at}
        restarts = {n: old for n, old in self.restarts.items() if set(old) & set(alive.get(n, ()))}
        try:
            self._store(pauses, restarts)
        except OSError as error:
            logger.warning("cannot write %s: %s", self._path, error)

    def _store(self, pauses: Mapping[str, Pause], restarts: Mapping[str, tuple[str, ...]]) -> None:
        if (pauses, restarts) == (self.pauses, self.restarts):
            return
        stored = {"pauses": {name: asdict(p) for name, p in pauses.items()}, "restarts": restarts}
        write_json(self._path, stored, durable=True)
        self.pauses, self.restarts = pauses, restarts
