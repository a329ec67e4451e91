"""The directory of manifests as it lies on disk: which files count, and what they hold."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

_IGNORED = re.compile(r"\..*|#.*#|.*~|.*\.bak|.*\.swp|4913")

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


@dataclass(frozen=True, slots=True)
class Tree:
    """A root and what is found below it."""

    root: Path

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

    def config(self, path: str) -> Path:
        """A file of an exec collector: relative paths start at the directory above the root."""
        return self.root.absolute().parent / path

    def _list(self, real: str, directory: str, prefix: str, listing: Listing) -> None:
        with os.scandir(directory) as entries:
            for entry in entries:
                if _IGNORED.fullmatch(entry.name):
                    continue
                path = prefix + entry.name
                try:
                    self._enter(real, entry, path, listing)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    listing.refused[path] = f"cannot read it: {error.strerror}"

    def _enter(self, real: str, entry: os.DirEntry[str], path: str, listing: Listing) -> None:
        if entry.is_dir(follow_symlinks=False):
            self._list(real, entry.path, path + "/", listing)
        elif entry.is_symlink() and entry.is_dir():
            listing.refused[path] = "cannot follow a symlink to a directory; put the directory itself here"
        elif entry.name.endswith((".yaml", ".yml")):
            if entry.is_symlink() and not os.path.realpath(entry.path).startswith(real + "/"):
                listing.refused[path] = f"cannot follow a symlink that leads out of {Path(real).name}/"
            elif not entry.is_file():
                listing.refused[path] = "cannot read it: it is no regular file"
            else:
                listing.files[path] = signature_of(entry.stat())


def signature_of(stat: os.stat_result) -> Signature:
    """What changes whenever the contents do."""
    return stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def sha256_of(path: Path) -> str:
    """Digest of a file's contents. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
