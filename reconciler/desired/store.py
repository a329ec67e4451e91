"""Last good manifests on disk, one JSON file for each path: they survive restarts and boots."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from collectors.contract import read_json, write_json
from reconciler.manifest import from_json, to_json
from reconciler.model import Manifest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Store:
    """A directory of last good manifests."""

    directory: Path

    def load(self) -> dict[str, dict[str, Manifest]]:
        """By path and name. A file that cannot be read is passed over and logged."""
        found = {}
        for file in sorted(self.directory.glob("*.json")):
            try:
                value = read_json(file)
                manifests = [from_json(value["path"], m) for m in value["manifests"]]
                found[str(value["path"])] = {m.name: m for m in manifests}
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("cannot read the last good manifests in %s: %s", file, error)
        return found

    def save(self, path: str, manifests: Mapping[str, Manifest]) -> None:
        """Keep these for `path`; nothing is kept where there are none. Raises OSError.

        Not forced to disk: a thousand manifests would wait for a slow one, and power loss can only cost what
        is also broken at the next start.
        """
        file = self.directory / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.json"
        if manifests:
            write_json(file, {"path": path, "manifests": [to_json(m) for m in manifests.values()]})
        else:
            file.unlink(missing_ok=True)
