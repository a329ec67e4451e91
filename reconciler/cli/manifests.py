"""The manifests as they stand now, for commands that need no host: from a directory, or the newest commit."""

from __future__ import annotations

from pathlib import Path

from reconciler import desired
from reconciler.cli.options import Options
from reconciler.gitsource.commands import GitError
from reconciler.gitsource.commits import commits, desired_at, newest
from reconciler.model import Desired


class UnreadError(Exception):
    """They cannot be read at all; the message begins with ``cannot``."""


def manifests_of(options: Options) -> Desired:
    """All that are valid; what is wrong with the others is in ``errors``. Raises UnreadError."""
    source = options.manifests
    try:
        if isinstance(source, Path):
            manifests, errors = desired.check([], source)
            return Desired(manifests, errors=tuple(errors))
        with commits(source) as (repository, path):
            return desired_at(repository, newest(source), path)
    except OSError as error:
        raise UnreadError(f"cannot read {error.filename}: {error.strerror}") from None
    except GitError as error:
        raise UnreadError(str(error)) from None
