"""`daq diff`, `daq apply`, `daq down`: the loop's work by hand."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, NoReturn

import typer

from reconciler import diff as differences
from reconciler.cli.asking import ask_or_do, fail, seconds_of
from reconciler.cli.options import Options
from reconciler.loop.reconcile import Reconciler

Names = Annotated[list[str] | None, typer.Argument(help="Only these.", show_default=False)]
Output = Annotated[Literal["text", "json"], typer.Option("-o", "--output", help="How to print.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")]


def diff(options: Options, names: Names = None, output: Output = "text") -> None:
    """What a pass would do, field by field. Exit 0 nothing, 1 changes, 2 error or invalid manifest."""
    _show(options, names or [], output, force=False)


def apply(
    options: Options,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Same as daq diff.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Stop also what the prune guard protects.")] = False,
    plan: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Only the plan that daq diff printed.", show_default=False),
    ] = None,
    timeout: Timeout = "60s",
    output: Output = "text",
) -> None:
    """Converge now. Exit 0 converged, 1 not Ready in time, 2 refused."""
    if dry_run:
        _show(options, [], output, force=force)
    seconds = seconds_of(timeout)
    reply = ask_or_do(
        options,
        {"op": "apply", "force": force, "plan": plan, "timeout_s": seconds},
        seconds,
        lambda alone: alone.apply(force=force, plan_id=plan, timeout_s=seconds),
    )
    if output == "json":
        typer.echo(json.dumps(reply, ensure_ascii=False, indent=2))
    else:
        _tell(reply)
    raise typer.Exit(0 if reply["converged"] else 2 if reply["refused"] else 1)


def down(options: Options, timeout: Timeout = "60s") -> None:
    """Stop every process of this state directory, the loop too. Exit 2 if something would not stop."""
    if not options.state.root.exists():
        return
    seconds = seconds_of(timeout)
    reply = ask_or_do(
        options,
        {"op": "down", "timeout_s": seconds},
        seconds,
        lambda alone: alone.stop_all(timeout_s=seconds),
        late=2,
    )
    if reply["left"]:
        fail(f"cannot stop: {', '.join(reply['left'])}")
    typer.echo(f"stopped: {', '.join(reply['stopped']) or 'nothing was running'}")


def _show(options: Options, names: Collection[str], output: Output, *, force: bool) -> NoReturn:
    with Reconciler.reading(options.state, options.desired, options.this_node) as reconciler:
        look = reconciler.look_settled(force=force)
    if unknown := set(names) - {s.name for s in look.plan.steps}:
        fail(f"cannot show {', '.join(sorted(unknown))}: no manifest and no process of that name")
    if output == "json":
        typer.echo(
            json.dumps(differences.as_json(look.plan, look.desired, names), ensure_ascii=False, indent=2)
        )
    else:
        typer.echo(differences.as_text(look.plan, look.desired, names), nl=False)
    for error in look.desired.errors:
        typer.echo(str(error), err=True)
    if look.desired.errors or look.desired.unread:
        raise typer.Exit(2)
    raise typer.Exit(differences.exit_code(look.plan, names))


def _tell(reply: Mapping[str, Any]) -> None:
    for line in reply["done"]:
        typer.echo(line)
    for line in reply["problems"]:
        typer.echo(line, err=True)
    typer.echo("converged" if reply["converged"] else "not converged")
