"""`daq health`: for service managers and probes, as cheap as it can be."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from collectors.contract import REPORT_EVERY_S, Report, boot_id, monotonic, read_json
from reconciler.cli.asking import fail
from reconciler.cli.chosen import complete_names
from reconciler.cli.options import Options
from reconciler.loop.ask import answers

SILENT_S = 30.0
"""A loop makes a pass every few seconds; without one for so long it hangs."""

Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        help="Ask for this collector or sender instead of the loop.",
        metavar="NAME",
        show_default=False,
        autocompletion=complete_names,
    ),
]


def health(options: Options, *, name: Name = None) -> None:
    """Whether the loop makes passes, or a collector reports. Exit 0 it is alive, 1 it is not."""
    typer.echo(_of_child(options, name) if name else _of_loop(options))


def _of_loop(options: Options) -> str:
    root = options.state.root
    if not answers(options.state):
        fail(f"cannot reach a loop of {root}: none is running; start one with daq run", code=1)
    try:
        silent_s = time.time() - read_json(root / "status.json")["reconciler"]["heartbeat_at"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"cannot read {root / 'status.json'}: {error}", code=1)
    if silent_s > SILENT_S:
        fail(f"the loop has made no pass for {silent_s:.0f} s", code=1)
    return f"the loop is alive, its last pass {max(0.0, silent_s):.0f} s ago"


def _of_child(options: Options, name: str) -> str:
    try:
        report = Report.from_json(read_json(options.state.report(name)))
    except FileNotFoundError:
        if _runs(options, name):
            return f"{name} is alive"
        fail(f"cannot find a report of {name} in {options.state.root}: it has not run", code=1)
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"cannot read the report of {name}: {error}", code=1)
    if report.boot_id != boot_id():
        fail(f"{name} has not reported since this machine started", code=1)
    silent_s = monotonic() - report.monotonic_s
    if silent_s > 3 * REPORT_EVERY_S:
        fail(f"{name} has not reported for {silent_s:.0f} s", code=1)
    return f"{name} is alive, its last report {silent_s:.0f} s ago"


def _runs(options: Options, name: str) -> bool:
    """Whether a program that makes no reports is alive: it holds its lock."""
    from reconciler.processes.locks import is_held

    try:
        return is_held(options.state.lock(name))
    except OSError:
        return False
