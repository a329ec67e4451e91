"""What the help of a command looks like."""

from __future__ import annotations

from dataclasses import fields

import typer
from typer._click import Context, HelpFormatter  # typer's own copy of click; it has no public name
from typer.core import TyperCommand

from reconciler.cli.options import Options

HELP = {"help_option_names": ["-h", "--help"]}
COMMON = frozenset("--" + f.name.replace("_", "-") for f in fields(Options))


class Command(TyperCommand):
    """A command whose help tells its own options from those that all share."""

    def format_options(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Arguments, own options, common options."""
        parts: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Common options": []}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                common = not COMMON.isdisjoint(parameter.opts)
                argument = parameter.param_type_name == "argument"
                parts["Arguments" if argument else "Common options" if common else "Options"].append(record)
        for title, records in parts.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def group(text: str) -> typer.Typer:
    """A command that holds commands."""
    return typer.Typer(
        help=text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=HELP,
    )
