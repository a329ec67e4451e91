"""`daq validate`, `daq schema`: what may be written, and whether it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from reconciler import desired
from reconciler.cli.asking import fail
from reconciler.cli.options import Options
from reconciler.desired.sentences import schema as schema_of
from reconciler.gitsource.commands import GitError
from reconciler.gitsource.commits import commits, desired_at, newest
from reconciler.gitsource.remote import Remote
from reconciler.model import Manifest, ManifestError

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Files or directories. Default: all manifests.", show_default=False),
]

Checked = tuple[Mapping[str, Manifest], Sequence[ManifestError]]
KindOfSchema = Annotated[Literal["collector", "sink", "status"], typer.Argument(help="Which one.")]


def validate(options: Options, paths: Paths = None) -> None:
    """Check manifests: file:line:column: where: what is wrong, one line each. Exit 0 valid, 2 not.

    With --git and without paths, those of the newest commit.
    """
    manifests, errors = _committed(options.manifests) if options.git and not paths else _files(options, paths)
    for wrong in errors:
        typer.echo(str(wrong))
    for warning in desired.shared_addresses(manifests):
        typer.echo(f"warning: {warning}", err=True)
    if errors:
        raise typer.Exit(2)
    count = sum(1 for m in manifests.values() if m.path)
    typer.echo(f"{count} {'manifest is' if count == 1 else 'manifests are'} valid", err=True)


def _files(options: Options, paths: Sequence[Path] | None) -> Checked:
    try:
        return desired.check(paths or [], options.desired)
    except OSError as error:
        fail(f"cannot read {error.filename}: {error.strerror}")


def _committed(manifests: Path | Remote) -> Checked:
    try:
        with commits(manifests) as (repository, path):
            found = desired_at(repository, newest(manifests), path)
    except GitError as error:
        fail(str(error))
    return found.manifests, found.errors


def schema(options: Options, kind: KindOfSchema = "collector") -> None:
    """Print the JSON Schema of a manifest, or of a status object."""
    typer.echo(json.dumps(schema_of(kind), ensure_ascii=False, indent=2))
