"""`daq init`: a directory to begin with."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.asking import fail
from reconciler.cli.options import Options

SCHEMAS = ("collector", "sink")


def init(
    _options: Options,
    directory: Annotated[Path, typer.Argument(help="To be made.", metavar="DIR", show_default=False)],
) -> None:
    """Make a directory with a first manifest and a simulated device to read. Exit 0, or 2."""
    if directory.exists() and any(directory.iterdir() if directory.is_dir() else [directory]):
        fail(f"cannot make {directory}: something is there already; choose another name, or empty it")
    template = files("reconciler") / "template"
    try:
        (directory / "desired").mkdir(parents=True)
        (directory / "schemas").mkdir()
        for source in (*template.iterdir(), *(template / "desired").iterdir()):
            if source.is_file():
                within = directory / "desired" if source.name.endswith(".yaml") else directory
                (within / source.name.replace("dot-", ".")).write_bytes(source.read_bytes())
        for name in SCHEMAS:
            file = f"{name}.schema.json"
            (directory / "schemas" / file).write_bytes((files("reconciler") / "schemas" / file).read_bytes())
    except OSError as error:
        fail(f"cannot write {error.filename}: {error.strerror}")
    typer.echo(f"made {directory}; next: cd {directory} && daq run")
