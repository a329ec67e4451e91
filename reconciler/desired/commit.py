"""The manifests of one commit, in force all or none. Pure over what a commit lists and a way to read its blobs."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import NamedTuple

from reconciler.desired.admission import Admission, admit
from reconciler.desired.document import ManifestFile, parse_file
from reconciler.desired.tree import MANIFESTS, Signature, ignored
from reconciler.model import ManifestError

REGULAR = ("100644", "100755")
_OTHERS = {"120000": "a symlink", "160000": "a submodule"}


class Entry(NamedTuple):
    """A file as a commit lists it: octal mode and object id."""

    mode: str
    oid: str


@dataclass(frozen=True, slots=True)
class CommitTree:
    """A commit's files below `path` (``.`` is the top), as a :class:`~reconciler.desired.tree.Tree`.

    `entries` are all files of the commit by path from its top; `blob` gives the contents of an object id.
    """

    path: str
    entries: Mapping[str, Entry]
    blob: Callable[[str], bytes]

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    def below(self) -> dict[str, Entry]:
        """What is listed below the root, by path relative to it; without what editors and back-ups leave."""
        prefix = "" if self.path == "." else self.path + "/"
        found = {p.removeprefix(prefix): e for p, e in self.entries.items() if p.startswith(prefix)}
        return {p: e for p, e in found.items() if not any(map(ignored, p.split("/")))}

    def read(self, path: str) -> bytes:
        """See :class:`~reconciler.desired.tree.Tree`."""
        return self.blob(self._entry(self.table(path)).oid)

    def table(self, path: str) -> Path:
        """See :class:`~reconciler.desired.tree.Tree`."""
        return Path(normpath(f"{self.path}/{path}"))

    def config(self, written: str) -> Path:
        """See :class:`~reconciler.desired.tree.Tree`."""
        return Path(written) if written.startswith("/") else Path(normpath(f"{base_of(self.path)}/{written}"))

    def signature(self, file: Path) -> Signature:
        """A commit never changes, so this only says whether the file is there."""
        self._entry(file)
        return 0, 0, 0, 0

    def sha256(self, file: Path) -> str:
        """See :class:`~reconciler.desired.tree.Tree`."""
        return hashlib.sha256(self.blob(self._entry(file).oid)).hexdigest()

    def _entry(self, file: Path) -> Entry:
        if file.is_absolute() or file.parts[:1] == ("..",):
            raise OSError(errno.EACCES, "it lies outside the commit; with --git all files come from there")
        entry = self.entries.get(file.as_posix())
        if entry is None:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if entry.mode not in REGULAR:
            raise OSError(errno.EACCES, _irregular(entry))
        return entry


def base_of(path: str) -> str:
    """The directory that relative paths of exec collectors start at: above the manifests, but in the commit."""
    return "." if path == "." else normpath(f"{path}/..")


Parsed = dict[tuple[str, str], ManifestFile]
"""What files say by path and object id; of those that were read with no other file."""


def admit_commit(tree: CommitTree, parsed: Parsed) -> Admission:
    """The manifests of a commit; they come into force if ``errors`` is empty, else none does.

    `parsed` is what earlier commits left, and is brought up to date. Raises FileNotFoundError where the commit has
    no such directory.
    """
    below = tree.below()
    if not below:
        raise FileNotFoundError(errno.ENOENT, f"there is no {tree.path}/ in the commit")
    files: dict[str, ManifestFile | None] = {}
    for path, entry in below.items():
        if entry.mode not in REGULAR:
            files[path] = ManifestFile(error=ManifestError(path, 1, 1, "file", _irregular(entry)))
        elif path.endswith(MANIFESTS):
            known = parsed.get((path, entry.oid))
            files[path] = known or parse_file(tree, path, tree.read(path))
    parsed.clear()
    parsed.update({(p, below[p].oid): f for p, f in files.items() if f and not f.depends})
    return admit(files, {})


def _irregular(entry: Entry) -> str:
    what = _OTHERS.get(entry.mode, f"an entry of mode {entry.mode}")
    return f"it is {what}; put the file itself into the commit"
