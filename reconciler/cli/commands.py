"""All commands in the order in which people meet them; each is imported when it is called."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from keyword import iskeyword
from typing import Annotated, Any

import typer
from typer._click import Context, HelpFormatter  # typer's own copy of click; it has no public name
from typer._click.shell_completion import (
    CompletionItem,  # typer's own copy of click; it exports no other name
)
from typer.core import TyperGroup

from reconciler import __version__
from reconciler.cli.help import HELP, Command
from reconciler.cli.options import with_options


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: the module below ``reconciler.cli`` that holds it, what it does in a few words, and one use of it."""

    module: str
    summary: str
    example: str = ""


GROUPS = {
    "Everyday": {
        "run": Entry(
            "run",
            "the control loop: watch, converge, publish, serve",
            "daq run --git ssh://git@server/plant.git --label site=north",
        ),
        "status": Entry("status", "what is observed, worst first column", "daq status --watch -l line=1"),
        "diff": Entry("converge", "what a pass would do, and why", "daq diff --from HEAD~1 --to HEAD"),
        "apply": Entry("converge", "converge now", "daq apply --timeout 2m"),
        "wait": Entry(
            "wait", "until collectors are ready or healthy", "daq wait press-1 --for healthy --timeout 2m"
        ),
        "logs": Entry("history", "what a collector or sender wrote", "daq logs press-1 -f"),
        "events": Entry("history", "what happened", "daq events press-1 -n 20"),
        "start": Entry("state", "write state: running into manifests", "daq start press-1 --commit"),
        "stop": Entry("state", "write state: stopped into manifests", "daq stop -l line=1"),
        "restart": Entry("orders", "have the loop restart them once", "daq restart --all"),
        "pause": Entry(
            "orders", "leave them alone for a while", "daq pause press-1 --for 2h --reason 'die change'"
        ),
        "resume": Entry("orders", "end a pause", "daq resume press-1"),
    },
    "Device": {
        "read": Entry("read", "every tag once: raw words, value, quality", "daq read press-1 --direct"),
        "probe": Entry(
            "probe",
            "an address as every type and order",
            "daq probe 'modbus://192.168.1.100/1?address=holding:0&count=4'",
        ),
        "browse": Entry(
            "browse",
            "the address space of an OPC UA server",
            "daq browse opc.tcp://192.168.1.10:4840 --depth 3 -o yaml",
        ),
        "simulate": Entry("simulate", "a live simulated device"),
    },
    "Manifests": {
        "validate": Entry("validate", "file:line:column: what is wrong", "daq validate --nodes fleet.yaml"),
        "schema": Entry("validate", "the JSON Schema of a manifest", "daq schema sink"),
        "init": Entry("scaffold", "a directory with a first manifest", "daq init plant"),
        "import": Entry(
            "moving",
            "older JSON files as manifests",
            "daq import process_config.json modbus_config.json --out desired",
        ),
    },
    "Host": {
        "audit": Entry(
            "audit",
            "do the counts add up, and do sinks hold what was delivered",
            "daq audit press-1 --since 24h",
        ),
        "dead-letter": Entry("deadletter", "lines that a sink refused for good: list, replay"),
        "down": Entry("converge", "stop every process, the loop too", "daq down --timeout 2m"),
        "doctor": Entry("doctor", "check this machine, and say what to do", "daq doctor --offline"),
        "health": Entry("health", "0 if the loop, or one collector, is alive", "daq health --name press-1"),
        "send": Entry("send", "the sender of one sink, in the foreground", "daq send plant"),
        "render": Entry("render", "files for systemd, Kubernetes, containers"),
        "completion": Entry("completion", "names and options by the Tab key, for your shell"),
    },
}
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}


class Program(TyperGroup):
    """`daq` itself. Its help needs no command; a command needs only its own module."""

    def list_commands(self, ctx: Context) -> list[str]:
        """In the order of :data:`GROUPS`."""
        return list(COMMANDS)

    def get_command(self, ctx: Context, cmd_name: str) -> Any:
        """Imported now; None where there is none."""
        entry = COMMANDS.get(cmd_name)
        return _load(entry, cmd_name) if entry else None

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


def _load(entry: Entry, name: str) -> Any:
    """The command `name` of a module: its function of that name, or a program of commands, its `app`."""
    holder = import_module(f"reconciler.cli.{entry.module}")
    if hasattr(holder, "app"):
        group = typer.main.get_command(holder.app)
        group.name = name
        return group
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    epilog = f"Example: {entry.example}" if entry.example else None
    command = with_options(getattr(holder, function_of(name)))
    app.command(name, cls=Command, context_settings=HELP, epilog=epilog)(command)
    return typer.main.get_command(app)
