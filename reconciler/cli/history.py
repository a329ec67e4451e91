"""`daq events`, `daq logs`: what happened, and what collectors wrote."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import typer

from reconciler.cli.asking import fail
from reconciler.cli.chosen import One, complete_names
from reconciler.cli.options import Options
from reconciler.events import EventLog
from reconciler.logs import follow, last_lines

LOOK_EVERY_S = 0.2

Follow = Annotated[bool, typer.Option("-f", "--follow", help="Go on printing what is added.")]


def events(
    options: Options,
    name: Annotated[
        str | None,
        typer.Argument(
            help="Only of this one.", show_default=False, metavar="NAME", autocompletion=complete_names
        ),
    ] = None,
    *,
    following: Follow = False,
    count: Annotated[int, typer.Option("-n", min=0, metavar="N", help="How many of the newest.")] = 100,
    output: Annotated[Literal["text", "json"], typer.Option("-o", "--output", help="How to print.")] = "text",
) -> None:
    """What happened, oldest first. Exit 0."""
    log = EventLog(options.state)
    stamp = log.stamp()
    known = log.read(name=name)
    last = known[-1]["number"] if known else 0
    for event in known[-count:] if count else ():
        _print(event, output)
    while following:
        time.sleep(LOOK_EVERY_S)
        if (changed := log.stamp()) == stamp:
            continue
        stamp = changed
        for event in log.read(after=last, name=name):
            _print(event, output)
            last = event["number"]


def logs(
    options: Options,
    name: One,
    *,
    following: Follow = False,
    count: Annotated[int, typer.Option("-n", min=0, metavar="N", help="How many of the last lines.")] = 100,
) -> None:
    """What a collector or sender wrote. Exit 0, or 2 where there is nothing of that name."""
    path = options.state.log(name)
    try:
        text, end = last_lines(path, count)
    except FileNotFoundError:
        fail(f"cannot show the log of {name}: nothing of that name has run in {options.state.root}")
    typer.echo(text, nl=False)
    if following:
        for added in follow(path, end):
            typer.echo(added, nl=False)


def _print(event: Mapping[str, Any], output: str) -> None:
    if output == "json":
        typer.echo(json.dumps(event, ensure_ascii=False))
        return
    at = datetime.fromtimestamp(event["at"]).strftime("%Y-%m-%d %H:%M:%S")
    typer.echo(
        f"{event['number']:>6}  {at}  {event['name'] or '-':<16}  {event['reason']:<16}  {event['message']}"
    )
