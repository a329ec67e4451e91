"""`daq validate`, `daq schema`: what may be written, and whether it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from reconciler import desired
from reconciler.cli.asking import fail
from reconciler.cli.manifests import UnreadError, manifests_of
from reconciler.cli.options import Options
from reconciler.cli.text import table
from reconciler.desired.sentences import schema as schema_of
from reconciler.model import Desired

Paths = Annotated[
    list[Path] | None,
    typer.Argument(help="Files or directories. Default: all manifests.", show_default=False),
]

KindOfSchema = Annotated[Literal["collector", "sink", "status"], typer.Argument(help="Which one.")]


def validate(
    options: Options,
    paths: Paths = None,
    *,
    nodes: Annotated[
        Path | None,
        typer.Option(metavar="FLEETFILE", help="Say which of these nodes runs what.", show_default=False),
    ] = None,
) -> None:
    """Check manifests: file:line:column: where: what is wrong, one line each. Exit 0 valid, 2 not.

    Without paths, all of them; with --git, those of the newest commit.
    """
    found = _read(options, paths)
    for wrong in found.errors:
        typer.echo(str(wrong))
    warnings = (*desired.shared_addresses(found.manifests), *desired.open_passwords(found.manifests))
    for warning in warnings:
        typer.echo(f"warning: {warning}", err=True)
    if nodes:
        _place(found, nodes)
    if found.errors:
        raise typer.Exit(2)
    count = sum(1 for m in found.manifests.values() if m.path)
    typer.echo(f"{count} {'manifest is' if count == 1 else 'manifests are'} valid", err=True)


def _read(options: Options, paths: Sequence[Path] | None) -> Desired:
    try:
        if not paths:
            return manifests_of(options)
        manifests, errors = desired.check(paths, options.directory)
    except UnreadError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot read {error.filename}: {error.strerror}")
    return Desired(manifests, errors=tuple(errors))


def _place(found: Desired, file: Path) -> None:
    """A line for each collector: the nodes that run it; then what none or several would run."""
    from reconciler.fleet.asking import read_fleet
    from reconciler.fleet.nodes import FleetError, doubts, placement

    try:
        hosts = read_fleet(file)
    except FleetError as error:
        fail(str(error))
    rows = [(manifest.name, ", ".join(names) or "-") for manifest, names in placement(found, hosts)]
    typer.echo(table(("COLLECTOR", "NODES"), rows))
    for doubt in doubts(found, hosts):
        typer.echo(f"warning: {doubt}", err=True)


def schema(options: Options, kind: KindOfSchema = "collector") -> None:
    """Print the JSON Schema of a manifest, or of a status object. Exit 0."""
    typer.echo(json.dumps(schema_of(kind), ensure_ascii=False, indent=2))
