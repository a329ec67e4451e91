"""`daq wait`: until collectors are ready or healthy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal

import typer

from collectors.contract import monotonic
from reconciler.cli.asking import fail, seconds_of
from reconciler.cli.chosen import Some
from reconciler.cli.options import Options
from reconciler.cli.progress import progress
from reconciler.cli.status import read_status
from reconciler.loop.ask import UnreachableError, ask

LOOK_EVERY_S = 0.2

Goal = Literal["ready", "healthy"]


def wait(
    options: Options,
    names: Some = None,
    *,
    goal: Annotated[Goal, typer.Option("--for", help="What for.")] = "ready",
    revision: Annotated[
        str | None, typer.Option(metavar="SHA", help="Also until this commit is applied.", show_default=False)
    ] = None,
    timeout: Annotated[str, typer.Option("--timeout", metavar="DURATION", help="How long.")] = "60s",
) -> None:
    """Wait for collectors, as their manifests are now. Exit 0 they are so, 1 not in time, 2 error."""
    end = monotonic() + seconds_of(timeout)
    with suppress(UnreachableError, TimeoutError):  # without a loop every look reads the manifests itself
        ask(options.state, {"op": "look", "timeout_s": end - monotonic()}, max(0.1, end - monotonic()))
    with progress(f"waiting for {', '.join(names or ()) or 'all'}"):
        while (
            missing := list(_missing(read_status(options), names or (), goal, revision))
        ) and monotonic() < end:
            time.sleep(LOOK_EVERY_S)
    if missing:
        fail("\n".join(missing), code=1)


def _missing(
    document: Mapping[str, Any], names: Sequence[str], goal: Goal, revision: str | None
) -> Iterator[str]:
    """A sentence for everything that is still waited for."""
    applied = document["source"]["applied"]
    if revision and not (applied or "").startswith(revision):
        yield f"revision {revision} is not applied; {applied or 'none'} is"
    known = {s["name"]: s for s in document["processes"]}
    for name in names:
        if name not in known:
            yield f"{name}: there is no collector or sink of that name"
    for name, status in known.items():
        if name in names or (not names and status["desired_state"] == "running"):
            yield from _short_of(status, goal)


def _short_of(status: Mapping[str, Any], goal: Goal) -> Iterator[str]:
    condition = next(c for c in status["conditions"] if c["type"].lower() == goal)
    if condition["status"] != "True" and status["health"] != "stopped":
        yield f"{status['name']}: not {goal}: {condition['message']} ({condition['reason']})"
