"""The reader for wherever manifests come from."""

from __future__ import annotations

from pathlib import Path

from reconciler.gitsource.reader import GitReader
from reconciler.gitsource.remote import Remote
from reconciler.gitsource.worktree import WorkTreeReader

Reader = GitReader | WorkTreeReader


def reader_of(manifests: Path | Remote, state: Path, *, keep: bool) -> Reader:
    """The reader of a directory or of commits; `state` is the state directory, written to only with `keep`."""
    if isinstance(manifests, Remote):
        return GitReader(manifests, state / "git", keep=keep)
    return WorkTreeReader(manifests.absolute(), state / "good", keep=keep)
