"""Read-only checkouts of commits, for programs that a commit brings with it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from reconciler.desired.commit import REGULAR
from reconciler.gitsource.mirror import Repository


@dataclass(frozen=True, slots=True)
class Checkouts:
    """Directories named after commits; each is there whole or not at all."""

    directory: Path

    def of(self, revision: str) -> Path:
        """Where the checkout of a commit is, or would be."""
        return self.directory / revision

    def make(self, repository: Repository, revision: str) -> None:
        """Write out the regular files of a commit, byte by byte. Raises OSError or GitError."""
        target = self.of(revision)
        if target.exists():
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        entries = {p: e for p, e in repository.entries(revision).items() if e.mode in REGULAR}
        paths: dict[str, list[str]] = {}
        for path, entry in entries.items():
            paths.setdefault(entry.oid, []).append(path)
        temporary = Path(tempfile.mkdtemp(prefix=".", dir=self.directory))
        try:
            for oid, contents in repository.blobs(paths):
                for path in paths[oid]:
                    file = temporary / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(contents)
                    file.chmod(0o555 if entries[path].mode == "100755" else 0o444)
            for directory, _, _ in os.walk(temporary, topdown=False):
                Path(directory).chmod(0o555)
            temporary.rename(target)
        except BaseException:
            _remove(temporary)
            raise

    def clear_unfinished(self) -> None:
        """Remove what a crash left half-made; nobody else may be making one."""
        for temporary in self.directory.glob(".*"):
            _remove(temporary)

    def prune(self, keep: Collection[Path]) -> None:
        """Remove all checkouts but those that any path of `keep` is in."""
        try:
            found = list(self.directory.iterdir())
        except FileNotFoundError:
            return
        for checkout in found:
            if not checkout.name.startswith(".") and not any(p.is_relative_to(checkout) for p in keep):
                _remove(checkout)


def _remove(checkout: Path) -> None:
    for directory, _, _ in os.walk(checkout):
        Path(directory).chmod(0o700)
    shutil.rmtree(checkout, ignore_errors=True)
