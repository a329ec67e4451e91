"""`daq audit`: do the counts add up, and does each sink hold what was delivered to it?"""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from reconciler.cli.asking import fail, seconds_of
from reconciler.cli.options import Options
from reconciler.cli.text import columns, table

if TYPE_CHECKING:
    from collectors.audit import Account

COUNTS = ("COLLECTOR", "SINK", "ACQUIRED", "DELIVERED", "QUEUED", "DROPPED", "REJECTED")
HELD = ("COLLECTOR", "SINK", "SINCE", "SENT", "IN SINK", "ADDS UP")


def audit(
    options: Options,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Only these collectors and sinks.", show_default=False),
    ] = None,
    *,
    since: Annotated[
        str, typer.Option("--since", metavar="DURATION", help="Ask sinks for so long back, in whole hours.")
    ] = "1h",
    output: Annotated[
        Literal["table", "json"], typer.Option("-o", "--output", help="How to print.")
    ] = "table",
) -> None:
    """Acquired, delivered, queued, dropped, rejected, and what sinks really hold. Exit 0 it adds up, 1 it does not.

    Secrets of sinks that stand in the environment must stand in that of this command too.
    """
    from collectors.audit import audit as accounts_of

    try:
        accounts = list(accounts_of(options.state, names or [], time.time() - seconds_of(since)))
    except (OSError, sqlite3.Error) as error:
        fail(f"cannot audit {options.state.root}: {error}", code=1)
    found = {account.collector for account in accounts} | {account.sink for account in accounts}
    for name in names or []:
        if name not in found:
            fail(f"cannot audit {name!r}: no points were ever acquired by or for it", code=1)
    wrong = [sentence for account in accounts for sentence in account.wrong]
    if output == "json":
        typer.echo(json.dumps({"adds_up": not wrong, "accounts": list(map(asdict, accounts))}, ensure_ascii=False,
                              indent=2))  # fmt: skip
    else:
        for header, row in ((COUNTS, _counts), (HELD, _held)):
            typer.echo(table(header, [row(a) for a in accounts], fit=columns()) + "\n")
        for sentence in wrong:
            typer.echo(sentence)
        for remark in dict.fromkeys(f"{a.sink}: {a.unknown}" for a in accounts if a.unknown):
            typer.echo(f"not counted: {remark}")
    if wrong:
        raise typer.Exit(1)


def _counts(account: Account) -> list[str]:
    """What became of all that was ever acquired."""
    p = account.points
    numbers = (p.acquired, p.delivered, p.queued, p.dropped, p.rejected)
    return [account.collector, account.sink, *map(str, numbers)]


def _held(account: Account) -> list[str]:
    """What was sent since a whole hour, and what of it the sink holds."""
    since = "-" if account.since is None else time.strftime("%m-%d %H:%M", time.localtime(account.since))
    numbers = ("-" if n is None else str(n) for n in (account.delivered, account.stored))
    return [account.collector, account.sink, since, *numbers, "no" if account.wrong else "yes"]
