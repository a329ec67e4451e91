"""Where the files of a set of manifests lie: in a directory on disk, or (see commit.py) in a commit."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

_IGNORED = re.compile(r"\..*|#.*#|.*~|.*\.bak|.*\.swp|4913")

MANIFESTS = (".yaml", ".yml")

Signature = tuple[int, int, int, int]
"""Inode, size, mtime and ctime in ns."""


@dataclass(frozen=True, slots=True)
class Listing:
    """Manifests by path relative to the root; `refused` says why a path may not be read."""

    files: dict[str, Signature]
    refused: dict[str, str] = field(default_factory=dict)

    def hides(self, path: str) -> bool:
        """Whether `path` lies at or below what could not be read, so that its absence says nothing."""
        return any(path == r or path.startswith(r + "/") for r in self.refused)


class Tree(Protocol):
    """The files that manifests are parsed with; all methods raise OSError, also for what may not be read."""

    @property
    def name(self) -> str:
        """What the root is called."""

    def read(self, path: str) -> bytes:
        """A file below the root."""

    def table(self, path: str) -> Path:
        """A point table below the root, for :meth:`signature`."""

    def config(self, written: str) -> Path:
        """A file of an exec collector: relative paths start at the directory above the root."""

    def signature(self, file: Path) -> Signature:
        """What changes whenever the contents do."""

    def sha256(self, file: Path) -> str:
        """Digest of the contents."""


@dataclass(frozen=True, slots=True)
class DirectoryTree:
    """A directory and what is found below it."""

    root: Path

    @property
    def name(self) -> str:
        """Its name, links resolved."""
        return self.root.resolve().name

    def list(self) -> Listing:
        """Every manifest below the root. Raises OSError where the root itself cannot be read."""
        real = os.path.realpath(self.root, strict=True)
        listing = Listing({})
        self._list(real, real, "", listing)
        return listing

    def read(self, path: str) -> bytes:
        """A file below the root, also through symlinks. Raises OSError, also where it lies outside."""
        real = (self.root / path).resolve(strict=True)
        if not real.is_relative_to(self.root.resolve()):
            raise PermissionError(f"it lies outside {self.root.resolve().name}/")
        return real.read_bytes()

    def table(self, path: str) -> Path:
        """See :class:`Tree`."""
        return self.root / path

    def config(self, written: str) -> Path:
        """See :class:`Tree`."""
        return self.root.absolute().parent / written

    def signature(self, file: Path) -> Signature:
        """See :class:`Tree`."""
        return signature_of(file.stat())

    def sha256(self, file: Path) -> str:
        """See :class:`Tree`."""
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()

    def _list(self, real: str, directory: str, prefix: str, listing: Listing) -> None:
        with os.scandir(directory) as entries:
            for entry in entries:
                if ignored(entry.name):
                    continue
                path = prefix + entry.name
                try:
                    self._enter(real, entry, path, listing)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    listing.refused[path] = f"cannot read it: {error.strerror}"

    def _enter(self, real: str, entry: os.DirEntry[str], path: str, listing: Listing) -> None:
        if entry.is_file(follow_symlinks=False):  # what nearly all are, told by the directory itself
            if entry.name.endswith(MANIFESTS):
                listing.files[path] = signature_of(entry.stat(follow_symlinks=False))
        elif entry.is_dir(follow_symlinks=False):
            self._list(real, entry.path, path + "/", listing)
        elif entry.is_symlink() and entry.is_dir():
            listing.refused[path] = "cannot follow a symlink to a directory; put the directory itself here"
        elif entry.name.endswith(MANIFESTS):
            if entry.is_symlink() and not os.path.realpath(entry.path).startswith(real + "/"):
                listing.refused[path] = f"cannot follow a symlink that leads out of {Path(real).name}/"
            elif not entry.is_file():
                listing.refused[path] = "cannot read it: it is no regular file"
            else:
                listing.files[path] = signature_of(entry.stat())


def ignored(name: str) -> bool:
    """Whether a file or directory of that name is none of ours: dot files, back-ups, editors' files."""
    return _IGNORED.fullmatch(name) is not None


def signature_of(stat: os.stat_result) -> Signature:
    """What changes whenever the contents do."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
