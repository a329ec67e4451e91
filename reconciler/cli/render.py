"""`daq render`: deployment files from the same options and manifests."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.asking import fail
from reconciler.cli.help import Command, group
from reconciler.cli.options import SYSTEM_STATE_DIR, Options, with_options

app = group("Deployment files, to stdout or into a directory. Exit 0, or 2.")

Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write the files there. Default: print.", show_default=False),
]


@app.command(cls=Command)
@with_options
def systemd(
    options: Options,
    *,
    stop_collectors: Annotated[
        bool, typer.Option("--stop-collectors", help="Stopping the service stops all collectors too.")
    ] = False,
    out: Out = None,
) -> None:
    """A unit that runs the loop with the options given here. Exit 0, or 2."""
    from reconciler.render.systemd import unit

    program = str(Path(sys.prefix) / "bin" / "daq")
    state = (options.state_dir or SYSTEM_STATE_DIR).absolute()
    _give(unit(program, _written(options), str(state), stop_collectors=stop_collectors), out)


@app.command(cls=Command)
@with_options
def compose(_options: Options, *, out: Out = None) -> None:
    """daq, InfluxDB and Grafana in containers; with --out also a Sink, a first manifest and the dashboard. Exit 0,
    or 2.
    """
    top = files("reconciler") / "render" / "compose"
    found = dict(_texts(top))
    _give(found if out else {"compose.yaml": found["compose.yaml"]}, out)


@app.command(cls=Command)
@with_options
def kubernetes(
    options: Options,
    *,
    image: Annotated[str, typer.Option(help="Image that has daq in it.")] = "daq:latest",
    out: Out = None,
) -> None:
    """A StatefulSet for each collector, with its sinks' senders beside it; variables of {env: NAME} come from a Secret
    named daq. What to check is told, and stands at the head of its file. Exit 0, or 2.
    """
    from reconciler.cli.manifests import UnreadError, manifests_of
    from reconciler.render.kubernetes import CHECK
    from reconciler.render.kubernetes import kubernetes as rendered
    from reconciler.render.pod import RenderError

    try:
        desired = manifests_of(options)
        if desired.errors:
            fail("\n".join(map(str, desired.errors)))
        found = rendered(desired, image)
    except (UnreadError, RenderError) as error:
        fail(str(error))
    _give(found, out)
    checks = (line for text in found.values() for line in text.splitlines() if line.startswith(CHECK))
    for line in dict.fromkeys(checks):
        typer.echo(f"check {line.removeprefix(CHECK)}", err=True)


def _texts(directory: Traversable, path: str = "") -> Iterator[tuple[str, str]]:
    for entry in sorted(directory.iterdir(), key=lambda e: e.name):
        if entry.is_dir():
            yield from _texts(entry, f"{path}{entry.name}/")
        else:
            yield path + entry.name, entry.read_text("utf-8")


def _written(options: Options) -> list[str]:
    """The common options that differ from their defaults, and where manifests are, as arguments; paths absolute."""
    found = []
    if options.git is None:
        options = replace(options, desired=options.directory)
    else:
        path = Path(options.git)
        options = replace(options, desired=None, git=str(path.absolute()) if path.is_dir() else options.git)
    for field in fields(Options):
        value = getattr(options, field.name)
        if value in (field.default, [], None):
            continue
        name = "--" + field.name.replace("_", "-")
        for each in value if isinstance(value, list) else [value]:
            found += [name, str(each.absolute() if isinstance(each, Path) else each)]
    return found


def _give(found: Mapping[str, str], out: Path | None) -> None:
    if out is None:
        typer.echo("---\n".join(found.values()), nl=False)
        return
    try:
        for name, text in found.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, "utf-8")
            typer.echo(f"wrote {out / name}")
    except OSError as error:
        fail(f"cannot write to {out}: {error.strerror}")
