"""The directory of manifests over time: when a change counts, and what is in force until then."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.desired.admission import admit
from reconciler.desired.document import ManifestFile, parse_file
from reconciler.desired.store import Store
from reconciler.desired.tree import DirectoryTree, Signature, signature_of
from reconciler.model import Desired, Manifest, ManifestError, Source

QUIET_S = 0.02
"""An edit counts once the file has not changed for so long."""
UNTERMINATED_S = 1.0
"""The same for a file without a final newline, which may be half-written."""
REMOVED_S = 1.0
"""A name is removed after two looks, so far apart, that did not find it."""

logger = logging.getLogger("daq.desired")

Seen = tuple[Signature, tuple[Signature | None, ...]]
"""A manifest file and the files it was read with."""


@dataclass(slots=True)
class _File:
    """`read` is what `parsed` was made from; `seen` is what lies there now, unchanged since `since`."""

    seen: Seen
    since: float
    read: Seen | None = None
    parsed: ManifestFile | None = None


@dataclass(slots=True)
class DirectoryReader:
    """Reads a directory of manifests again and again; what was good is kept in `good`, across restarts.

    With `keep` False nothing is written: a look beside the reconciler that keeps it.
    """

    root: Path
    good: Path
    keep: bool = True
    _files: dict[str, _File] = field(default_factory=dict, init=False)
    _refused: dict[str, str] = field(default_factory=dict, init=False)
    _in_force: dict[str, dict[str, Manifest]] | None = field(default=None, init=False)
    _vanished: dict[str, float] = field(default_factory=dict, init=False)
    _unsaved: set[str] = field(default_factory=set, init=False)
    _last: Desired | None = field(default=None, init=False)

    def read(self, now: float) -> Desired:
        """What is wanted; `now` is monotonic seconds. Look again at `look_at`, when something has settled.

        A file that is old at the first look has settled. What cannot be written to `good` is tried again.
        """
        first = self._in_force is None
        if self._in_force is None:
            self._in_force = Store(self.good).load()
        tree = DirectoryTree(self.root)
        try:
            listing = tree.list()
        except OSError as error:
            self._vanished.clear()
            known = self._last or self._judged(dict.fromkeys(self._in_force), now)
            why = f"cannot read {self.root}: {error.strerror}"
            self._last = replace(
                known, unread=why, unconfirmed=frozenset(), look_at=None, source=Source(error=why)
            )
            return self._last
        changed = self._last is None or self._last.unread is not None or listing.refused != self._refused
        self._refused = listing.refused
        changed |= bool(gone := self._files.keys() - listing.files.keys())
        for path in gone:
            del self._files[path]
        look_ats = []
        for path, signature in listing.files.items():
            look_at, parsed = self._look(tree, path, signature, now, first)
            changed |= parsed
            if look_at is not None:
                look_ats.append(look_at)
        if changed or self._vanished or self._unsaved:
            files: dict[str, ManifestFile | None] = {path: f.parsed for path, f in self._files.items()}
            files |= {
                p: ManifestFile(error=ManifestError(p, 1, 1, "file", m)) for p, m in listing.refused.items()
            }
            files |= {p: None for p in self._in_force if p not in files and listing.hides(p)}
            self._last = self._judged(files, now)
        assert self._last is not None
        look_ats += [since + REMOVED_S for since in self._vanished.values()]
        return replace(self._last, look_at=min(look_ats, default=None))

    def _look(
        self, tree: DirectoryTree, path: str, signature: Signature, now: float, first: bool
    ) -> tuple[float | None, bool]:
        """When this file wants another look, and whether it was read anew."""
        file = self._files.get(path)
        depends = file.parsed.depends if file and file.parsed else None
        seen = (signature, tuple(_signatures(depends)) if depends else ())
        if file is None:
            file = self._files[path] = _File(
                seen, _quiet_since(signature, now, math.inf if first else UNTERMINATED_S)
            )
        if seen == file.read:
            file.seen = seen
            return None, False
        if seen != file.seen:
            file.seen, file.since = seen, _quiet_since(signature, now, UNTERMINATED_S)
        if now < file.since + QUIET_S:
            return file.since + QUIET_S, False
        try:
            data = tree.read(path)
            unchanged = signature_of((tree.root / path).stat()) == signature
            parsed = parse_file(tree, path, data)
        except FileNotFoundError:
            return now + QUIET_S, False
        except OSError as error:
            unchanged, problem = True, f"cannot read it: {error.strerror or error}"
            parsed = ManifestFile(error=ManifestError(path, 1, 1, "file", problem))
        if not unchanged:
            return now + QUIET_S, False
        if parsed.unterminated and now < file.since + UNTERMINATED_S:
            return file.since + UNTERMINATED_S, False
        file.parsed = parsed
        file.read = file.seen = (signature, tuple(parsed.depends.values()))
        return None, True

    def _save(self, path: str, manifests: Mapping[str, Manifest]) -> None:
        if not self.keep:
            return
        self._unsaved.discard(path)
        try:
            Store(self.good).save(path, manifests)
        except OSError as error:
            logger.warning("cannot keep the good manifests of %s: %s", path, error)
            self._unsaved.add(path)

    def _judged(self, files: Mapping[str, ManifestFile | None], now: float) -> Desired:
        assert self._in_force is not None
        result = admit(files, self._in_force)
        since = {name: self._vanished.get(name, now) for name in result.vanished}
        removed = {name for name, at in since.items() if now >= at + REMOVED_S}
        self._vanished = {name: at for name, at in since.items() if name not in removed}
        in_force = {
            path: {n: m for n, m in names.items() if n not in removed} for path, names in result.good.items()
        }
        for path in in_force.keys() | self._in_force.keys() | self._unsaved:
            if path in self._unsaved or in_force.get(path, {}) != self._in_force.get(path, {}):
                self._save(path, in_force.get(path, {}))
        self._in_force = {path: names for path, names in in_force.items() if names}
        errors = tuple(sorted(e for found in result.errors.values() for e in found))
        return Desired(
            manifests={n: m for n, m in result.manifests.items() if n not in removed},
            broken=result.broken,
            errors=errors,
            unconfirmed=frozenset(self._vanished),
            source=Source(error=_summed_up(errors)),
        )


def _quiet_since(signature: Signature, now: float, at_most_s: float) -> float:
    """When the file was last written, as far as its own time tells: a writer at work keeps that time young."""
    return now - min(max(0.0, time.time() - signature[3] / 1e9), at_most_s)


def _signatures(depends: Mapping[Path, Signature | None]) -> Iterator[Signature | None]:
    for path in depends:
        try:
            yield signature_of(path.stat())
        except OSError:
            yield None


def _summed_up(errors: Sequence[ManifestError]) -> str | None:
    if not errors:
        return None
    more = f" (and {len(errors) - 1} more: daq validate)" if len(errors) > 1 else ""
    return f"{errors[0]}{more}"
