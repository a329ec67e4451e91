"""`daq diff`, `daq apply`, `daq down`: the loop's work by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn

import typer

from collectors.contract import parse_duration
from reconciler import diff as differences
from reconciler.cli.options import Options
from reconciler.compare import compare
from reconciler.gitsource import GitError, commits, desired_at, newest
from reconciler.loop.control import UnreachableError, ask
from reconciler.loop.reconcile import Reconciler
from reconciler.model import Desired, Plan
from reconciler.processes import StateDirError

Names = Annotated[list[str] | None, typer.Argument(help="Only these.", show_default=False)]
Output = Annotated[Literal["text", "json"], typer.Option("-o", "--output", help="How to print.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")]

REPLY_GRACE_S = 5.0


def diff(
    options: Options,
    names: Names = None,
    output: Output = "text",
    since: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="REF", help="Compare commits instead, from this one.", show_default=False
        ),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="REF", help="With --from: to this commit. Default: HEAD, or --branch."),
    ] = None,
) -> None:
    """What a pass would do, field by field. Exit 0 nothing, 1 changes, 2 error or invalid manifest."""
    if to and not since:
        _fail("cannot compare with --to alone; write --from REF --to REF")
    if since:
        plan, desired = _between(options, since, to)
    else:
        with Reconciler.reading(options.state, options.manifests, options.this_node) as reconciler:
            look = reconciler.look_settled()
        plan, desired = look.plan, look.desired
    if unknown := set(names or ()) - {s.name for s in plan.steps}:
        _fail(f"cannot show {', '.join(sorted(unknown))}: no manifest and no process of that name")
    if output == "json":
        typer.echo(json.dumps(differences.as_json(plan, desired, names), ensure_ascii=False, indent=2))
    else:
        typer.echo(differences.as_text(plan, desired, names), nl=False)
    problems = [str(e) for e in desired.errors] or [desired.source.error or ""]
    for problem in filter(None, problems):
        typer.echo(problem, err=True)
    if desired.errors or desired.unread or desired.source.error:
        raise typer.Exit(2)
    raise typer.Exit(differences.exit_code(plan, names))


def _between(options: Options, since: str, to: str | None) -> tuple[Plan, Desired]:
    """What the way from one commit to another changes, and what the latter wants."""
    manifests = options.manifests
    try:
        with commits(manifests) as (repository, path):
            before = desired_at(repository, since, path)
            after = desired_at(repository, to or newest(manifests), path)
    except GitError as error:
        _fail(str(error))
    return compare(before, after), after


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


def _fail(message: str, code: int = 2) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(code)
