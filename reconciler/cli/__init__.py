"""The program `daq`: one thin file for each group of commands."""

from __future__ import annotations

import sys

import typer

from reconciler.cli import browse, converge, history, orders, run, simulate, status, validate, wait
from reconciler.cli.options import options_last, with_options

app = typer.Typer(
    name="daq",
    help="Keeps a plant's data collectors running, as declared in manifests, and loses none of their data.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
COMMANDS = (
    run.run,
    converge.diff,
    converge.apply,
    converge.down,
    wait.wait,
    status.status,
    history.events,
    history.logs,
    orders.pause,
    orders.resume,
    orders.restart,
    validate.validate,
    validate.schema,
    browse.browse,
)
for command in COMMANDS:
    app.command()(with_options(command))
app.add_typer(simulate.app, name="simulate")


def main() -> None:
    """Entry point of the script."""
    app(options_last(sys.argv[1:]))
