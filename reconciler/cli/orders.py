"""`daq pause`, `daq resume`, `daq restart`: orders that no manifest holds."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reconciler.cli.asking import Reply, ask_or_do, fail, seconds_of
from reconciler.cli.chosen import All, Names, Selector, choose
from reconciler.cli.options import Options
from reconciler.cli.status import read_status
from reconciler.loop.ask import answers

if TYPE_CHECKING:
    from reconciler.loop.reconcile import Reconciler

ANSWER_S = 10.0


def pause(
    options: Options,
    names: Names = None,
    *,
    selector: Selector = None,
    everything: All = False,
    period: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, as 2h.")],
    reason: Annotated[str, typer.Option(help="Why; people will ask.")],
    stopped: Annotated[bool, typer.Option("--stopped", help="Stop them, and keep them stopped.")] = False,
) -> None:
    """Leave collectors alone until then: no change is applied, a crash is restarted as it was. Exit 0 or 2."""
    names = _chosen(options, "pause", names, selector, everything=everything)
    until_at = time.time() + seconds_of(period)
    order = {"op": "pause", "names": names, "who": _who(), "why": reason, "until_at": until_at}
    reply = _order(options, {**order, "stopped": stopped}, ANSWER_S)
    until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(until_at))
    typer.echo(f"paused until {until}: {', '.join(reply['names'])}; earlier by: daq resume")


def resume(
    options: Options, names: Names = None, *, selector: Selector = None, everything: All = False
) -> None:
    """End a pause. Exit 0 or 2."""
    names = _chosen(options, "resume", names, selector, everything=everything)
    reply = _order(options, {"op": "resume", "names": names}, ANSWER_S)
    typer.echo(f"resumed: {', '.join(reply['names'])}")


def restart(
    options: Options,
    names: Names = None,
    *,
    selector: Selector = None,
    everything: All = False,
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long to wait.")] = "60s",
) -> None:
    """Have the loop restart them once, held ones too. Exit 0 they run again, 1 not in time, 2 refused."""
    names = _chosen(options, "restart", names, selector, everything=everything)
    seconds = seconds_of(timeout)
    told = f"cannot restart {', '.join(names)} now"
    alone = not answers(options.state)
    reply = _order(options, {"op": "restart", "names": names, "who": _who(), "timeout_s": seconds}, seconds)
    if alone:
        fail(f"{told}: no loop is running; the next `daq run` or `daq apply` does it", code=1)
    if not reply["done"]:
        fail(f"{told}: not running again after {timeout}; daq status says why", code=1)
    typer.echo(f"restarted: {', '.join(reply['names'])}")


def _chosen(
    options: Options,
    verb: str,
    names: Sequence[str] | None,
    selector: Sequence[str] | None,
    *,
    everything: bool,
) -> list[str]:
    """Names as given are for the reconciler to judge; a selection is made among those it knows of."""
    if names and not selector:
        return list(names)
    found = [
        p
        for p in read_status(options)["processes"]
        if p["kind"] == "Collector" and (verb == "pause" or (p["health"] == "paused") == (verb == "resume"))
    ]
    return choose({p["name"]: p["labels"] for p in found}, names, selector, everything=everything, verb=verb)


def _order(options: Options, order: Mapping[str, Any], seconds: float) -> Reply:
    def alone(reconciler: Reconciler) -> Reply:
        from reconciler.loop.orders import carry_out

        reconciler.look_pass()
        return carry_out(reconciler, order)

    reply = ask_or_do(options, order, seconds, alone)
    if "refused" in reply:
        fail(str(reply["refused"]))
    return reply


def _who() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()
