"""Manifests from the commits of a branch: followed beside the passes, which only take what is there."""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from reconciler.desired.admission import Admission
from reconciler.desired.commit import REGULAR, CommitTree, Parsed, admit_commit, base_of
from reconciler.desired.tree import MANIFESTS
from reconciler.gitsource.checkout import Checkouts
from reconciler.gitsource.commands import CONFIG, Git, GitError
from reconciler.gitsource.mirror import Mirror, Repository
from reconciler.gitsource.remote import Remote
from reconciler.manifest import local_sink
from reconciler.model import LOCAL_SINK, Desired, Manifest, ManifestError, Source
from reconciler.processes.environment import references
from reconciler.processes.leftovers import end_leftovers

logger = logging.getLogger("daq.git")

SOON_S = 0.1
"""The next look while a fetch that somebody waits for is on its way."""
ENDING_S = 5.0
READ_AT_ONCE = (*MANIFESTS, ".csv")


@dataclass(frozen=True, slots=True)
class _News:
    """What following has come to; replaced as a whole."""

    source: Source
    manifests: Mapping[str, Manifest] | None = None
    broken: Mapping[str, ManifestError] | None = None
    errors: tuple[ManifestError, ...] = ()


class _RejectedError(Exception):
    """A commit with errors in its manifests."""

    def __init__(self, revision: str, admission: Admission) -> None:
        self.revision = revision
        self.broken = admission.broken
        self.errors = tuple(sorted(e for found in admission.errors.values() for e in found))
        more = f" (and {len(self.errors) - 1} more)" if len(self.errors) > 1 else ""
        super().__init__(f"cannot take revision {revision[:12]}: {self.errors[0]}{more}")


class GitReader:
    """Follows a remote's branch in a thread from the first :meth:`read` on; below `directory` are mirror and checkouts.

    With `keep` False nothing there is written: a look beside the reconciler that keeps it.
    """

    def __init__(self, remote: Remote, directory: Path, *, keep: bool = True) -> None:
        self._remote = remote
        self._directory = directory
        self._keep = keep
        self._checkouts = Checkouts(directory / "checkouts")
        self._news = self._taken = _News(Source(kind="git", branch=remote.branch))
        self._parsed: Parsed = {}
        self._rejected: _RejectedError | None = None
        self._thread: threading.Thread | None = None
        self._git: Git | None = None
        self._mirror: Mirror | None = None
        self._wake = threading.Event()
        self._ending = False
        self._asked = self._answered = 0
        self._force = False
        self._kept: frozenset[str] = frozenset()
        self._coming: str | None = None
        if keep:
            self._ring()

    @property
    def watched(self) -> Path:
        """A directory that changes when there is something new to read."""
        return self._directory / "news"

    @property
    def root(self) -> Path:
        """Where the manifests of the revision in force would be checked out."""
        return self._checkout / self._remote.path

    @property
    def base(self) -> Path:
        """Where relative paths of exec collectors start."""
        return self._checkout / base_of(self._remote.path)

    @property
    def _checkout(self) -> Path:
        return self._checkouts.of(self._taken.source.applied or "none")

    def read(self, now: float) -> Desired:
        """What is wanted; never waits for the remote, and for this disk only the first time: then the revision that was
        in force before is taken up. `now` is monotonic seconds.
        """
        if self._keep and not self._thread:
            self._try(lambda: self._open(self._directory))
        if not (self._thread and self._thread.is_alive()) and not self._ending:
            self._thread = threading.Thread(target=self._follow, name="git", daemon=True)
            self._thread.start()
        waiting = self._answered < self._asked
        news = self._taken = self._news
        unread = None
        if news.manifests is None:
            unread = news.source.error or f"the branch {self._remote.branch} is still being fetched"
        return Desired(
            manifests=news.manifests or {LOCAL_SINK: local_sink()},
            broken=news.broken or {},
            errors=news.errors,
            unread=unread,
            look_at=now + SOON_S if waiting else None,
            source=news.source,
        )

    def refresh(self, *, force: bool = False) -> None:
        """Fetch now; with `force`, also take a branch that was rewritten. Until that is done, looks say ``look_at``."""
        self._force |= force
        self._asked += 1
        self._wake.set()

    def prune(self, used: frozenset[str]) -> None:
        """Remove checkouts that are neither in force nor hold a directory of `used`."""
        current = (self._coming, self._taken.source.applied, self._news.source.applied)
        keep = used | {str(self._checkouts.of(revision)) for revision in current if revision}
        if keep != self._kept:
            self._kept = keep
            self._checkouts.prune(list(map(Path, keep)))

    def close(self) -> None:
        """End following; git is killed if it is at work."""
        self._ending = True
        self._wake.set()
        if self._git:
            self._git.close()
        if self._thread:
            self._thread.join(ENDING_S)

    # --- beside the passes ------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        with nullcontext(self._directory) if self._keep else _temporary() as place:
            while not self._ending:
                self._wake.clear()
                asked, force = self._asked, self._force
                self._try(partial(self._follow_once, Path(place), force=force))
                if force:
                    self._force = False
                self._answered = asked
                if self._asked == asked:
                    self._wake.wait(self._remote.pull_s)

    def _try(self, step: Callable[[], object]) -> None:
        """Take a step; why it failed is told."""
        try:
            step()
        except (GitError, OSError) as error:
            self._tell(str(error) if isinstance(error, GitError) else f"cannot keep a mirror: {error}")

    def _follow_once(self, place: Path, *, force: bool) -> None:
        self._attempt(self._mirror or self._open(place), force=force)

    def _open(self, place: Path) -> Mirror:
        """The mirror, with its last revision in force. Raises GitError or OSError."""
        kept = self._directory / "mirror"
        local = self._remote.local
        trusted = [local, local / ".git", local.resolve(), local.resolve() / ".git"] if local else []
        self._git = Git(place / "mirror", place / "config", trusted)
        if self._keep:
            end_leftovers(CONFIG, str(place / "config"))
            self._checkouts.clear_unfinished()
            mirror, applied = Mirror.resumed(self._git, self._remote)
        else:
            mirror = Mirror(self._git, self._remote, kept / "objects")
            applied = Repository(Git(kept, place / "other")).kept() if kept.exists() else None
        if applied:
            try:
                self._admit(mirror, applied, self._news.source)
            except (_RejectedError, GitError, OSError) as error:
                logger.error("cannot take up revision %s again: %s", applied[:12], error)
        self._mirror = mirror
        return mirror

    def _attempt(self, mirror: Mirror, *, force: bool) -> None:
        """Fetch, judge, take. Raises GitError or OSError."""
        branch, source = self._remote.branch, self._news.source
        fetched = mirror.fetch()
        source = replace(source, fetched=fetched, fetched_at=time.time())
        self._news = replace(self._news, source=source)
        if fetched == source.applied:
            self._news = _News(replace(source, attempted=fetched, error=None), self._news.manifests)
            return
        source = replace(source, attempted=fetched)
        self._news = replace(self._news, source=source)
        if source.applied and not force and not mirror.descends(fetched, source.applied):
            raise GitError(
                f"cannot follow the branch {branch}: {fetched[:12]} is no descendant of {source.applied[:12]}, which"
                " stays in force (the branch was rewritten?); `daq apply --force` takes it"
            )
        try:
            self._admit(mirror, fetched, source)
        except _RejectedError as rejected:
            self._rejected = rejected
            self._news = replace(self._news, broken=rejected.broken, errors=rejected.errors)
            self._tell(str(rejected))

    def _admit(self, mirror: Mirror, revision: str, source: Source) -> None:
        """Put a revision in force, whole. Raises GitError, OSError or _RejectedError; then nothing has changed."""
        remote = self._remote
        if remote.signers:
            try:
                mirror.verify(revision, remote.signers)
            except GitError:
                self._news = replace(self._news, source=replace(self._news.source, verified=False))
                raise
        if self._rejected and self._rejected.revision == revision:
            raise self._rejected
        admission = admitted(mirror, revision, remote.path, self._parsed)
        if any(admission.errors.values()):
            raise _RejectedError(revision, admission)
        manifests = admission.manifests
        if self._keep:
            if any(map(_needs_checkout, manifests.values())):
                self._coming = revision  # not to be pruned before it is in force
                self._checkouts.make(mirror, revision)
            mirror.keep(revision)
        verified = True if remote.signers else None
        in_force = replace(source, attempted=revision, applied=revision, verified=verified, error=None)
        self._news = _News(in_force, manifests)
        self._ring()
        logger.info("revision %s of %s is in force", revision[:12], remote.branch)

    def _tell(self, error: str) -> None:
        if error != self._news.source.error and not self._ending:
            logger.error("%s", error)
        self._news = replace(self._news, source=replace(self._news.source, error=error))
        self._ring()

    def _ring(self) -> None:
        if not self._keep:
            return
        try:
            self.watched.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.watched / "at").write_text(f"{time.time()}\n")
        except OSError as error:  # a hint only: the next pass by the clock reads it
            logger.warning("cannot wake the loop by %s: %s", self.watched, error)


def admitted(repository: Repository, revision: str, path: str, parsed: Parsed | None = None) -> Admission:
    """The manifests of a commit; they may be in force only if there are no ``errors``. Raises GitError.

    `parsed` is what earlier commits left, and is brought up to date.
    """
    parsed = {} if parsed is None else parsed
    ready: dict[str, bytes] = {}
    tree = CommitTree(path, repository.entries(revision), lambda oid: ready.get(oid) or repository.blob(oid))
    unknown = [e for p, e in tree.below().items() if p.endswith(READ_AT_ONCE) and (p, e.oid) not in parsed]
    ready.update(repository.blobs(e.oid for e in unknown if e.mode in REGULAR))
    try:
        return admit_commit(tree, parsed)
    except FileNotFoundError as error:
        raise GitError(f"cannot take revision {revision[:12]}: {error.strerror}") from error


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="daq-git-", ignore_cleanup_errors=True)


def _needs_checkout(manifest: Manifest) -> bool:
    return manifest.type == "exec" or any(r.kind == "file" for r in references(manifest.spec))
