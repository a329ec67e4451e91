"""The manifests of any commit, for comparisons."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.gitsource.commands import Git
from reconciler.gitsource.mirror import FETCHED, Mirror, Repository
from reconciler.gitsource.reader import admitted
from reconciler.gitsource.remote import Remote
from reconciler.model import Desired


@contextmanager
def commits(manifests: Path | Remote) -> Iterator[tuple[Repository, str]]:
    """The repository around a directory of manifests, or a remote's, and the manifests' path in it.

    Raises GitError; only commits of its branch are known of a remote that is not on this machine.
    """
    with tempfile.TemporaryDirectory(prefix="daq-git-") as temporary:
        place = Path(temporary)
        if isinstance(manifests, Remote):
            directory, path = manifests.local, manifests.path
            if directory is None:
                mirror = Mirror(Git(place / "mirror", place / "config"), manifests)
                mirror.fetch()
                yield mirror, path
                return
        else:
            directory, path = manifests.absolute(), ""
        trusted = [directory, directory / ".git"]
        repository = Repository(Git(directory, place / "config", trusted))
        if not path:
            prefix = repository.git.text(
                "rev-parse", "--show-prefix", to=f"find a repository around {directory}"
            )
            path = prefix.rstrip("/") or "."
        yield repository, path


def newest(manifests: Path | Remote) -> str:
    """The name of the commit that is meant where none is said."""
    if isinstance(manifests, Remote):
        return manifests.branch if manifests.local else FETCHED
    return "HEAD"


def desired_at(repository: Repository, ref: str, path: str) -> Desired:
    """What a commit wants, all in it that is valid; the rest is in ``errors``. Raises GitError."""
    admission = admitted(repository, repository.revision(ref), path)
    return Desired(
        manifests=admission.manifests,
        broken=admission.broken,
        errors=tuple(sorted(e for found in admission.errors.values() for e in found)),
    )
