"""`daq dead-letter list|replay SINK`: the lines that a sink refused for good."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from reconciler.cli.asking import fail, seconds_of
from reconciler.cli.help import Command, group
from reconciler.cli.options import Options, with_options
from reconciler.cli.text import table

app = group("Lines that a sink refused for good.")

LOOK_EVERY_S = 0.05

SinkName = Annotated[str, typer.Argument(metavar="SINK", help="Name of the sink.", show_default=False)]


def list_letters(
    options: Options,
    sink: SinkName,
    *,
    output: Annotated[
        Literal["table", "json"], typer.Option("-o", "--output", help="How to print.")
    ] = "table",
) -> None:
    """What was refused, when, and the server's words. Exit 0, or 1 where no such sink ever ran."""
    from collectors.letters import read_letters

    _known(options, sink)
    try:
        letters = read_letters(options.state.dead_letters(sink))
    except OSError as error:
        fail(f"cannot read the dead letters of {sink}: {error}", code=1)
    if output == "json":
        typer.echo(json.dumps(list(map(asdict, letters)), ensure_ascii=False, indent=2))
    elif not letters:
        typer.echo(f"{sink} has no dead letters")
    else:
        rows = [
            (
                time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(x.at)),
                str(x.points),
                x.reason,
                x.line,
                x.message,
            )
            for x in letters
        ]
        typer.echo(table(("AT", "POINTS", "REASON", "LINE", "MESSAGE"), rows))


def replay(
    options: Options,
    sink: SinkName,
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")] = "60s",
) -> None:
    """Have the sender send them once more; what is taken leaves the file.

    Exit 0 all taken, 1 some are refused again or time is out.
    """
    from collectors.letters import ask_for_replay, read_letters, replay_answer, withdraw

    _known(options, sink)
    path = options.state.dead_letters(sink)
    end = time.monotonic() + seconds_of(timeout)
    try:
        if not read_letters(path):
            typer.echo(f"{sink} has no dead letters")
            return
        ask_for_replay(path)
        while (answer := replay_answer(path)) is None and time.monotonic() < end:
            time.sleep(LOOK_EVERY_S)
        if answer is None:
            withdraw(path)
            fail(f"cannot replay: the sender of {sink} did not get them through in {timeout}; daq status {sink}"
                 " says why", code=1)  # fmt: skip
    except OSError as error:
        fail(f"cannot replay the dead letters of {sink}: {error}", code=1)
    typer.echo(f"{answer.taken} taken, {answer.refused} refused again")
    if answer.refused:
        raise typer.Exit(1)


def _known(options: Options, sink: str) -> None:
    if not options.state.cursors(sink).exists():
        fail(f"cannot look for dead letters: no sink {sink!r} has ever run in {options.state.root}", code=1)


app.command("list", cls=Command)(with_options(list_letters))
app.command(cls=Command)(with_options(replay))
