"""How a command reaches the reconciler: the running loop by its socket, else one of its own for the moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from collectors.contract import parse_duration
from reconciler.cli.options import Options
from reconciler.cli.progress import progress
from reconciler.loop.ask import UnreachableError, ask

if TYPE_CHECKING:
    from reconciler.loop.reconcile import Reconciler

REPLY_GRACE_S = 5.0

Reply = Mapping[str, Any]


def ask_or_do(
    options: Options,
    request: Mapping[str, Any],
    seconds: float,
    alone: Callable[[Reconciler], Reply],
    late: int = 1,
) -> Reply:
    """The reply of the running loop, or where none runs of `alone`. Ends the command where neither can be, with
    exit code `late` if the loop is too slow.
    """
    with progress(f"{request['op']}: at work"):
        return _ask_or_do(options, request, seconds, alone, late)


def _ask_or_do(
    options: Options,
    request: Mapping[str, Any],
    seconds: float,
    alone: Callable[[Reconciler], Reply],
    late: int,
) -> Reply:
    try:
        return ask(options.state, request, seconds + REPLY_GRACE_S)
    except UnreachableError:
        pass
    except TimeoutError:
        fail("the running loop did not answer in time", code=late)
    from reconciler.loop.reconcile import Reconciler
    from reconciler.processes import StateDirError

    try:
        with Reconciler.owning(options.state, options.manifests, options.this_node) as reconciler:
            return alone(reconciler)
    except StateDirError as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot write to {options.state.root}: {error}")


def seconds_of(text: str) -> float:
    """A duration as written. Raises typer.BadParameter."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def fail(message: str, code: int = 2) -> NoReturn:
    """Say why and end the command."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
