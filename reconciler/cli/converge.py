"""`daq diff`, `daq apply`, `daq down`: the loop's work by hand."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from reconciler.cli.asking import Reply, ask_or_do, fail, seconds_of
from reconciler.cli.chosen import Some
from reconciler.cli.options import Options

if TYPE_CHECKING:
    from collectors.contract import StateDir
    from reconciler.loop.reconcile import Reconciler
    from reconciler.model import Desired, Plan

Output = Annotated[Literal["text", "json"], typer.Option("-o", "--output", help="How to print.")]
Timeout = Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")]


def diff(
    options: Options,
    names: Some = None,
    *,
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
    wire: Annotated[
        bool, typer.Option("--wire", help="Also the requests that each collector sends.")
    ] = False,
) -> None:
    """What a pass would do, field by field. Exit 0 nothing, 1 changes, 2 error or invalid manifest."""
    if to and not since:
        fail("cannot compare with --to alone; write --from REF --to REF")
    if since:
        plan, desired = _between(options, since, to)
    else:
        plan, desired = _planned(options, force=False)
    _show(plan, desired, names or [], output, options.state if wire else None)


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
        _show(*_planned(options, force=force), [], output)
    seconds = seconds_of(timeout)

    def alone(reconciler: Reconciler) -> Reply:
        from reconciler.loop.alone import apply

        return apply(reconciler, force=force, plan_id=plan, timeout_s=seconds)

    reply = ask_or_do(
        options,
        {"op": "apply", "force": force, "plan": plan, "timeout_s": seconds},
        seconds,
        alone,
    )
    if output == "json":
        typer.echo(json.dumps(reply, ensure_ascii=False, indent=2))
    else:
        _tell(reply)
    raise typer.Exit(0 if reply["converged"] else 2 if reply["refused"] else 1)


def down(options: Options, timeout: Timeout = "60s") -> None:
    """Stop every process of this state directory, the loop too. Exit 0, 2 if something would not stop."""
    if not options.state.root.exists():
        return
    seconds = seconds_of(timeout)

    def alone(reconciler: Reconciler) -> Reply:
        from reconciler.loop.alone import stop_all

        return stop_all(reconciler, timeout_s=seconds)

    reply = ask_or_do(
        options,
        {"op": "down", "timeout_s": seconds},
        seconds,
        alone,
        late=2,
    )
    if reply["left"]:
        fail(f"cannot stop: {', '.join(reply['left'])}")
    typer.echo(f"stopped: {', '.join(reply['stopped']) or 'nothing was running'}")


def _planned(options: Options, *, force: bool) -> tuple[Plan, Desired]:
    """What a pass would do now."""
    from reconciler.loop.reconcile import Reconciler

    with Reconciler.reading(options.state, options.manifests, options.this_node) as reconciler:
        look = reconciler.look_settled(force=force)
    return look.plan, look.desired


def _show(
    plan: Plan, desired: Desired, names: Collection[str], output: Output, wire_of: StateDir | None = None
) -> NoReturn:
    """Print a plan; with `wire_of` also the requests of its collectors, as measured in that state directory."""
    from reconciler import diff as differences
    from reconciler.cli import wire

    if unknown := set(names) - {s.name for s in plan.steps}:
        fail(f"cannot show {', '.join(sorted(unknown))}: no manifest and no process of that name")
    if output == "json":
        shown = differences.as_json(plan, desired, names)
        if wire_of:
            shown["wire"] = wire.as_json(wire.wires(wire_of, desired, names))
        typer.echo(json.dumps(shown, ensure_ascii=False, indent=2))
    else:
        typer.echo(differences.as_text(plan, desired, names), nl=False)
        if wire_of and (found := wire.wires(wire_of, desired, names)):
            typer.echo(f"\n{wire.as_text(found)}")
    problems = [str(e) for e in desired.errors] or [desired.source.error or ""]
    for problem in filter(None, problems):
        typer.echo(problem, err=True)
    if desired.errors or desired.unread or desired.source.error:
        raise typer.Exit(2)
    raise typer.Exit(differences.exit_code(plan, names))


def _between(options: Options, since: str, to: str | None) -> tuple[Plan, Desired]:
    """What the way from one commit to another changes, and what the latter wants."""
    from reconciler.compare import compare
    from reconciler.fieldtypes import Known, as_applied, lock_types
    from reconciler.fleet.nodes import moves
    from reconciler.gitsource.commands import GitError
    from reconciler.gitsource.commits import commits, desired_at, newest

    manifests = options.manifests
    try:
        with commits(manifests) as (repository, path):
            before = desired_at(repository, since, path)
            after = desired_at(repository, to or newest(manifests), path)
    except GitError as error:
        fail(str(error))
    for doubt in moves(before, after):
        typer.echo(f"warning: {doubt}", err=True)
    after = lock_types(after, as_applied(before), Known())
    return compare(before, after), after


def _tell(reply: Mapping[str, Any]) -> None:
    for line in reply["done"]:
        typer.echo(line)
    for line in reply["problems"]:
        typer.echo(line, err=True)
    typer.echo("converged" if reply["converged"] else "not converged")
