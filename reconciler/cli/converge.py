"""`daq diff`, `daq apply`, `daq down`: the loop's work by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import typer

from collectors.contract import parse_duration
from reconciler import diff as differences
from reconciler.cli.options import Options
from reconciler.loop.control import UnreachableError, ask
from reconciler.loop.reconcile import Reconciler
from reconciler.processes import StateDirError

Names = Annotated[list[str] | None, typer.Argument(help="Only these.", show_default=False)]
Output = Annotated[Literal["text", "json"], typer.Option("-o", "--output", help="How to print.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")]

REPLY_GRACE_S = 5.0


def diff(options: Options, names: Names = None, output: Output = "text") -> None:
    """What a pass would do, field by field. Exit 0 nothing, 1 changes, 2 error or invalid manifest."""
    with Reconciler.reading(options.state, options.manifests, options.this_node) as reconciler:
        look = reconciler.look_settled()
    if unknown := set(names or ()) - {s.name for s in look.plan.steps}:
        _fail(f"cannot show {', '.join(sorted(unknown))}: no manifest and no process of that name")
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


def apply(
    options: Options,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Same as daq diff.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Stop also what the prune guard protects.")] = False,
    timeout: Timeout = "60s",
    output: Output = "text",
) -> None:
    """Converge now. Exit 0 converged, 1 not Ready in time, 2 refused."""
    if dry_run:
        diff(options, None, output)
    seconds = _seconds(timeout)
    request = {"op": "apply", "force": force, "timeout_s": seconds}
    try:
        reply = ask(options.state, request, seconds + REPLY_GRACE_S)
    except UnreachableError:
        try:
            with Reconciler.owning(options.state, options.manifests, options.this_node) as reconciler:
                reply = reconciler.apply(force=force, timeout_s=seconds)
        except StateDirError as error:
            _fail(str(error))
    except TimeoutError:
        _fail("the running loop did not answer in time", code=1)
    if output == "json":
        typer.echo(json.dumps(reply, ensure_ascii=False, indent=2))
    else:
        _tell(reply)
    raise typer.Exit(0 if reply["converged"] else 2 if reply["refused"] else 1)


def down(options: Options, timeout: Timeout = "60s") -> None:
    """Stop every process of this state directory, the loop too. Exit 2 if something would not stop."""
    if not options.state.root.exists():
        return
    seconds = _seconds(timeout)
    try:
        reply = ask(options.state, {"op": "down", "timeout_s": seconds}, seconds + REPLY_GRACE_S)
    except UnreachableError:
        try:
            with Reconciler.owning(options.state, options.manifests, options.this_node) as reconciler:
                reply = reconciler.stop_all(timeout_s=seconds)
        except StateDirError as error:
            _fail(str(error))
    except TimeoutError:
        _fail("the running loop did not answer in time")
    if reply["left"]:
        _fail(f"cannot stop: {', '.join(reply['left'])}")
    typer.echo(f"stopped: {', '.join(reply['stopped']) or 'nothing was running'}")


def _tell(reply: Mapping[str, Any]) -> None:
    for line in reply["done"]:
        typer.echo(line)
    for line in reply["problems"]:
        typer.echo(line, err=True)
    typer.echo("converged" if reply["converged"] else "not converged")


def _seconds(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _fail(message: str, code: int = 2) -> Any:
    typer.echo(message, err=True)
    raise typer.Exit(code)
