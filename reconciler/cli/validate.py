"""`daq validate`, `daq schema`: what may be written, and whether it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from reconciler import desired
from reconciler.cli.options import Options
from reconciler.desired.sentences import schema as schema_of

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Files or directories. Default: all manifests.", show_default=False),
]

KindOfSchema = Annotated[Literal["collector", "sink", "status"], typer.Argument(help="Which one.")]


def validate(options: Options, paths: Paths = None) -> None:
    """Check manifests: file:line:column: where: what is wrong, one line each. Exit 0 valid, 2 not."""
    try:
        manifests, errors = desired.check(paths or [], options.desired)
    except OSError as error:
        typer.echo(f"cannot read {error.filename}: {error.strerror}", err=True)
        raise typer.Exit(2) from None
    for wrong in errors:
        typer.echo(str(wrong))
    for warning in desired.shared_addresses(manifests):
        typer.echo(f"warning: {warning}", err=True)
    if errors:
        raise typer.Exit(2)
    count = sum(1 for m in manifests.values() if m.path)
    typer.echo(f"{count} {'manifest is' if count == 1 else 'manifests are'} valid", err=True)


def schema(options: Options, kind: KindOfSchema = "collector") -> None:
    """Print the JSON Schema of a manifest, or of a status object."""
    typer.echo(json.dumps(schema_of(kind), ensure_ascii=False, indent=2))
