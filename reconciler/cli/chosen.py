"""Which collectors a command is about: by name, by label, or all; and their names for the Tab key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from collectors.contract import read_json
from reconciler.cli.asking import fail
from reconciler.cli.options import Options


def complete_names(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Names that the loop last told of and that begin so, each with its title or type."""
    given = ctx.params.get("state_dir")
    state = Options(state_dir=Path(given) if given else None).state
    try:
        found: Sequence[Mapping[str, Any]] = read_json(state.root / "status.json")["processes"]
    except (OSError, ValueError, KeyError):
        return []
    return [(p["name"], p["title"] or p["type"]) for p in found if p["name"].startswith(incomplete)]


Names = Annotated[
    list[str] | None,
    typer.Argument(help="Which ones.", show_default=False, metavar="NAME", autocompletion=complete_names),
]
Some = Annotated[
    list[str] | None,
    typer.Argument(help="Only these.", show_default=False, metavar="NAME", autocompletion=complete_names),
]
One = Annotated[
    str,
    typer.Argument(help="Which one.", show_default=False, metavar="NAME", autocompletion=complete_names),
]
Selector = Annotated[
    list[str] | None,
    typer.Option("-l", "--selector", metavar="LABEL=VALUE", help="Those with this label; repeatable."),
]
All = Annotated[bool, typer.Option("--all", help="All collectors.")]


def choose(
    known: Mapping[str, Mapping[str, str]],
    names: Sequence[str] | None,
    selector: Sequence[str] | None,
    *,
    everything: bool,
    verb: str,
) -> list[str]:
    """Names out of `known` (name to labels). Ends the command where none is asked for, or one is not there."""
    if not names and not selector and not everything:
        raise typer.BadParameter(f"say which to {verb}: NAME, -l LABEL=VALUE, or --all")
    if unknown := [name for name in names or () if name not in known]:
        fail(f"cannot {verb} {', '.join(unknown)}: there is no such collector here; daq status lists them")
    wanted = labels(selector)
    found = [
        name
        for name, has in known.items()
        if (name in names if names else True) and wanted.items() <= has.items()
    ]
    if not found:
        fail(f"cannot {verb}: no collector has {', '.join(selector or ())}")
    return found


def labels(selector: Sequence[str] | None) -> dict[str, str]:
    """What ``-l`` asks for. Raises typer.BadParameter."""
    wanted = {}
    for text in selector or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r} is no label; write -l LABEL=VALUE")
        wanted[key] = value
    return wanted
