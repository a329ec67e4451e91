"""A directory of manifests inside a git repository: which revision its HEAD is, and whether files differ from it."""

from __future__ import annotations

import logging
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

from reconciler.desired import DirectoryReader
from reconciler.desired.tree import signature_of
from reconciler.gitsource.commands import Git, GitClosedError, GitError
from reconciler.model import Desired

logger = logging.getLogger("daq.git")

STATUS_S = 30.0


class WorkTreeReader:
    """A :class:`DirectoryReader` whose source also says HEAD and `dirty`, looked up beside the passes after changes."""

    def __init__(self, root: Path, good: Path, *, keep: bool = True) -> None:
        self.root = self.watched = root
        self.base = root.parent
        self._reader = DirectoryReader(root, good, keep=keep)
        self._repository = _repository_of(root)
        self._manifests: object = None
        self._stamps: tuple[object, ...] = ()
        self._found: tuple[str | None, bool | None] = None, None
        self._thread: threading.Thread | None = None
        self._git: Git | None = None

    def read(self, now: float) -> Desired:
        """What is wanted; `now` is monotonic seconds. Raises OSError as DirectoryReader does."""
        desired = self._reader.read(now)
        if self._repository:
            stamps = tuple(map(_stamp, self._repository))
            changed = desired.manifests is not self._manifests or stamps != self._stamps
            if changed and not (self._thread and self._thread.is_alive()):
                self._manifests, self._stamps = desired.manifests, stamps
                self._thread = threading.Thread(target=self._look, name="git", daemon=True)
                self._thread.start()
        head, dirty = self._found
        return replace(desired, source=replace(desired.source, applied=head, dirty=dirty))

    def refresh(self, *, force: bool = False) -> None:
        """Nothing to fetch: every read is fresh."""

    def prune(self, used: frozenset[str]) -> None:
        """Nothing to remove."""

    def close(self) -> None:
        """End a look at the repository."""
        if self._git:
            self._git.close()
        if self._thread:
            self._thread.join(STATUS_S)

    def _look(self) -> None:
        with tempfile.TemporaryDirectory(prefix="daq-git-") as temporary:
            git = self._git = Git(self.root, Path(temporary) / "config")
            try:
                head = git.text(
                    "rev-parse", "HEAD", to=f"find the revision of {self.root}", deadline_s=STATUS_S
                )
                changed = git.text(
                    "status",
                    "--porcelain",
                    "--",
                    ".",
                    to=f"compare {self.root} with HEAD",
                    deadline_s=STATUS_S,
                )
                self._found = head, bool(changed)
            except GitClosedError:
                return
            except GitError as error:
                logger.warning("%s", error)
                self._found = None, None


def _repository_of(root: Path) -> tuple[Path, ...]:
    """Files of the repository around `root` that change with HEAD or the index; none where there is no repository."""
    for directory in (root, *root.parents):
        found = directory / ".git"
        if found.is_dir():
            return found / "HEAD", found / "index", found / "logs" / "HEAD"
        if found.is_file():
            return (found,)
    return ()


def _stamp(file: Path) -> object:
    try:
        return signature_of(file.stat())
    except OSError:
        return None
