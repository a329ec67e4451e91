"""Manifests and git: commits of a branch as the source (`--git`), or the revision a directory of manifests is at.

`commands` runs git, `mirror` keeps what was fetched, `checkout` writes commits out for programs, `reader` follows a
branch, `commits` reads any two for a comparison, `worktree` looks at the repository around a directory.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.gitsource.commands import GitError
from reconciler.gitsource.commits import commits, desired_at, newest
from reconciler.gitsource.mirror import Remote
from reconciler.gitsource.reader import GitReader
from reconciler.gitsource.worktree import WorkTreeReader

__all__ = [
    "GitError",
    "GitReader",
    "Reader",
    "Remote",
    "WorkTreeReader",
    "commits",
    "desired_at",
    "newest",
    "reader_of",
]

Reader = GitReader | WorkTreeReader


def reader_of(manifests: Path | Remote, state: Path, *, keep: bool) -> Reader:
    """The reader of a directory or of commits; `state` is the state directory, written to only with `keep`."""
    if isinstance(manifests, Remote):
        return GitReader(manifests, state / "git", keep=keep)
    return WorkTreeReader(manifests.absolute(), state / "good", keep=keep)
