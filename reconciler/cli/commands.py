"""All commands in the order in which people meet them; each is imported when it is called."""

from __future__ import annotations

from dataclasses import dataclass, fields
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer._click import Context, HelpFormatter  # typer's own copy of click; it has no public name
from typer._click.shell_completion import (
    CompletionItem,  # typer's own copy of click; it exports no other name
)
from typer.core import TyperCommand, TyperGroup

from reconciler import __version__
from reconciler.cli.options import Options, with_options


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: the module below ``reconciler.cli`` that holds it, and what it does in a few words."""

    module: str
    summary: str


GROUPS = {
    "Everyday": {
        "run": Entry("run", "the control loop: watch, converge, publish, serve"),
        "status": Entry("status", "what is observed, worst first column"),
        "diff": Entry("converge", "what a pass would do, and why"),
        "apply": Entry("converge", "converge now"),
        "wait": Entry("wait", "until collectors are ready or healthy"),
        "logs": Entry("history", "what a collector or sender wrote"),
        "events": Entry("history", "what happened"),
        "start": Entry("state", "write state: running into manifests"),
        "stop": Entry("state", "write state: stopped into manifests"),
        "restart": Entry("orders", "have the loop restart them once"),
        "pause": Entry("orders", "leave them alone for a while"),
        "resume": Entry("orders", "end a pause"),
    },
    "Device": {
        "read": Entry("read", "every tag once: raw words, value, quality"),
        "probe": Entry("probe", "an address as every type and order"),
        "browse": Entry("browse", "the address space of an OPC UA server"),
        "simulate": Entry("simulate", "a live simulated device"),
    },
    "Manifests": {
        "validate": Entry("validate", "file:line:column: what is wrong"),
        "schema": Entry("validate", "the JSON Schema of a manifest"),
        "init": Entry("scaffold", "a directory with a first manifest"),
        "import": Entry("moving", "older JSON files as manifests"),
    },
    "Host": {
        "audit": Entry("audit", "do the counts add up, and do sinks hold what was delivered"),
        "dead-letter": Entry("deadletter", "lines that a sink refused for good: list, replay"),
        "down": Entry("converge", "stop every process, the loop too"),
        "doctor": Entry("doctor", "check this machine, and say what to do"),
        "health": Entry("health", "0 if the loop, or one collector, is alive"),
        "render": Entry("render", "files for systemd, Kubernetes, containers"),
        "completion": Entry("completion", "names and options by the Tab key, for your shell"),
    },
}
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}
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


class Program(TyperGroup):
    """`daq` itself. Its help needs no command; a command needs only its own module."""

    def list_commands(self, ctx: Context) -> list[str]:
        """In the order of :data:`GROUPS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Any:
        """Imported now; None where there is none."""
        entry = COMMANDS.get(cmd_name)
        return _load(entry.module, cmd_name) if entry else None

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """One section a group."""
        widest = max(map(len, COMMANDS))
        for title, entries in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{widest}}", e.summary) for name, e in entries.items()])

    def shell_complete(self, ctx: Context, incomplete: str) -> list[CompletionItem]:
        """Names of commands, none imported."""
        return [CompletionItem(n, help=e.summary) for n, e in COMMANDS.items() if n.startswith(incomplete)]


def program() -> Any:
    """The command line, to be called with arguments."""
    app = typer.Typer(
        name="daq",
        cls=Program,
        help="Keeps a plant's data collectors running, as declared in manifests, and loses none of their data.",
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings=HELP,
    )
    app.callback()(_options)
    group: Any = typer.main.get_command(app)
    group.commands = dict.fromkeys(COMMANDS)  # what it looks for a name that is nearly right
    return group


def _show(version: bool) -> None:
    if version:
        typer.echo(f"daq {__version__}")
        raise typer.Exit


def _options(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show, is_eager=True)
    ] = False,
) -> None:
    """What stands before a command."""


def function_of(command: str) -> str:
    """What the function of a command is called."""
    return f"{command}_" if iskeyword(command) else command.replace("-", "_")


def _load(module: str, name: str) -> Any:
    """The command `name` of a module: its function of that name, or a program of commands, its `app`."""
    holder = import_module(f"reconciler.cli.{module}")
    if hasattr(holder, "app"):
        group = typer.main.get_command(holder.app)
        group.name = name
        return group
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command(name, cls=Command, context_settings=HELP)(with_options(getattr(holder, function_of(name))))
    return typer.main.get_command(app)
