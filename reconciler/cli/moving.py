"""`daq import`: the older JSON files as manifests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from reconciler.cli.asking import fail
from reconciler.cli.options import Options

MARK = "# CHECK"


def import_(
    options: Options,
    files: Annotated[
        list[Path], typer.Argument(help="Process files and collectors' configurations.", metavar="FILE")
    ],
    *,
    series: Annotated[
        str | None, typer.Option(help="Series of the MELSEC PLCs, as FX3U or Q.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a file each there. Default: print.", show_default=False),
    ] = None,
) -> None:
    """Turn older JSON files into manifests, with a comment for whatever has no equal. Exit 0, or 2."""
    from reconciler.legacy.files import manifests_of
    from reconciler.legacy.text import LegacyError

    try:
        manifests = manifests_of({str(path): _read(path) for path in files}, series)
    except LegacyError as error:
        fail(str(error))
    _validate(manifests, out or options.directory)
    if out is None:
        typer.echo("---\n".join(f"# {name}\n{text}" for name, text in manifests.items()), nl=False)
    else:
        _write(out, manifests)
    if doubts := sum(text.count(MARK) for text in manifests.values()):
        typer.echo(
            f"{doubts} {'comment says' if doubts == 1 else 'comments say'} CHECK: read them first", err=True
        )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        fail(f"cannot read {path}: {error.strerror}")
    except json.JSONDecodeError as error:
        fail(f"{path}:{error.lineno}:{error.colno}: cannot read this as JSON: {error.msg}")
    except UnicodeDecodeError:
        fail(f"cannot read {path} as UTF-8; save it in that encoding")


def _validate(manifests: Mapping[str, str], directory: Path) -> None:
    """What is written must be right, whatever stood in the old files."""
    from reconciler import desired

    wrong = []
    for error in desired.check_new(manifests, directory):
        if error.where.startswith("spec.configFiles"):
            missing = f"{error.path}: {error.message}; it must be there when this runs"
            typer.echo(f"{missing}, below {directory.absolute().parent}", err=True)
        else:
            wrong.append(str(error))
    if wrong:
        fail("\n".join(["cannot import: the manifests would not be valid", *wrong]))


def _write(out: Path, manifests: Mapping[str, str]) -> None:
    if there := [name for name in manifests if (out / name).exists()]:
        fail(
            f"cannot write to {out}: {', '.join(there)} is there already; remove it, or choose another --out"
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in manifests.items():
            (out / name).write_text(text, "utf-8")
            typer.echo(f"wrote {out / name}")
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}")
