"""`daq simulate`: live simulated devices."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

import typer
from typer import Option

app = typer.Typer(help="A live simulated device to read from.", no_args_is_help=True)


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
    from collectors.simulate.faults import parse_delay
    from collectors.simulate.modbus import run
    from collectors.simulate.modbus_faults import Faults, parse_address

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
    _serve(run(host, port, transport, faults), f"{host}:{port}")


@app.command()
def melsec(
    *,
    port: Annotated[int, Option(min=0, max=0xFFFF, help="0 takes a free one.")] = 5000,
    host: Annotated[str, Option(help="Address to listen on.")] = "127.0.0.1",
    frame: Annotated[Literal["1E", "3E", "4E"], Option(help="Frame.")] = "1E",
    code: Annotated[Literal["binary", "ascii"], Option(help="Code.")] = "binary",
    series: Annotated[Literal["FX3", "Q", "iQ-R", "iQ-F"], Option(help="Series of the PLC.")] = "FX3",
    delay: Annotated[str, Option(metavar="DURATION", help="Before every answer, as 50ms.")] = "0ms",
    refuse: Annotated[bool, Option("--refuse", help="Refuse connections.")] = False,
    drop_every: Annotated[int, Option(min=0, metavar="N", help="Leave every Nth request unanswered.")] = 0,
    truncate_every: Annotated[int, Option(min=0, metavar="N", help="Send half of every Nth answer.")] = 0,
    stale_every: Annotated[
        int, Option(min=0, metavar="N", help="Give every Nth answer the serial number before (4E).")
    ] = 0,
    split: Annotated[bool, Option("--split", help="Send every byte as its own segment.")] = False,
    illegal: Annotated[
        list[str] | None,
        Option(metavar="DEVICE", help="Refuse it as out of range, as D900 or X0x1F; repeatable."),
    ] = None,
) -> None:
    """A packing line on a PLC, with values that move, until SIGTERM or Ctrl-C."""
    from collectors.simulate.faults import parse_delay
    from collectors.simulate.melsec import run
    from collectors.simulate.melsec_faults import Faults, parse_device
    from collectors.simulate.packing_line import packing_line

    try:
        faults = Faults(
            delay_s=parse_delay(delay),
            refuse=refuse,
            drop_every=drop_every,
            truncate_every=truncate_every,
            split=split,
            illegal=frozenset(map(parse_device, illegal or [])),
            stale_every=stale_every,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    plc = packing_line(series)
    _serve(run(plc, frame, code, faults, host=host, port=port), f"{host}:{port}")


def _serve(serving: Coroutine[Any, Any, None], where: str) -> None:
    try:
        asyncio.run(serving)
    except OSError as error:
        typer.echo(f"cannot listen on {where}: {error.strerror}", err=True)
        raise typer.Exit(1) from None
