"""`daq simulate`: live simulated devices."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

import typer
from typer import Option

app = typer.Typer(help="A live simulated device to read from.", no_args_is_help=True)


@app.callback()
def simulate() -> None:
    """Keep `modbus` a command of its own while it is the only one."""


@app.command()
def modbus(
    *,
    port: Annotated[int, Option(min=0, max=0xFFFF, help="0 takes a free one.")] = 5020,
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    transport: Annotated[Literal["tcp", "rtu-over-tcp"], Option(help="Framing.")] = "tcp",
    delay: Annotated[str, Option(metavar="DURATION", help="Before every answer, as 50ms.")] = "0ms",
    refuse: Annotated[bool, Option("--refuse", help="Refuse connections.")] = False,
    drop_every: Annotated[int, Option(min=0, metavar="N", help="Leave every Nth request unanswered.")] = 0,
    truncate_every: Annotated[int, Option(min=0, metavar="N", help="Send half of every Nth answer.")] = 0,
    split: Annotated[bool, Option("--split", help="Send every byte as its own segment.")] = False,
    illegal: Annotated[
        list[str] | None,
        Option(metavar="AREA:ADDRESS", help="Refuse it, as holding:900; repeatable."),
    ] = None,
    silent_unit: Annotated[
        list[int] | None, Option(min=0, max=255, metavar="ID", help="No answer from that unit; repeatable.")
    ] = None,
    gateway: Annotated[
        bool, Option("--gateway", help="Answer exception 0B for units that are silent or not there.")
    ] = False,
) -> None:
    """Two presses as unit 1 and 2, with values that move, until SIGTERM or Ctrl-C."""
    from collectors.simulate.modbus import run
    from collectors.simulate.modbus_faults import Faults, parse_address, parse_delay

    try:
        faults = Faults(
            delay_s=parse_delay(delay),
            refuse=refuse,
            drop_every=drop_every,
            truncate_every=truncate_every,
            split=split,
            illegal=frozenset(map(parse_address, illegal or [])),
            silent_units=frozenset(silent_unit or []),
            gateway=gateway,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    try:
        asyncio.run(run(host, port, transport, faults))
    except OSError as error:
        typer.echo(f"cannot listen on {host}:{port}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
