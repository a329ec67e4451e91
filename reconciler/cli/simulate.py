"""`daq simulate`: live simulated devices."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

import typer
from typer import Option

from reconciler.cli.help import Command, group

app = group("A live simulated device to read from. Runs until SIGTERM or Ctrl-C, then exit 0.")

Port = Annotated[
    int,
    Option("--port", min=0, max=0xFFFF, metavar="PORT", help="TCP port to listen on; 0 takes a free one."),
]
Host = Annotated[str, Option("--host", metavar="HOST", help="Address to listen on.")]
Delay = Annotated[str, Option(metavar="DURATION", help="Wait before every answer, as 50ms.")]
Refuse = Annotated[bool, Option("--refuse", help="Refuse connections.")]
DropEvery = Annotated[int, Option(min=0, metavar="N", help="Leave every Nth request unanswered.")]
TruncateEvery = Annotated[int, Option(min=0, metavar="N", help="Send half of every Nth answer.")]
SilentAfter = Annotated[
    str,
    Option(metavar="DURATION", help="A connection that is older is not answered any more, but stays open."),
]
Split = Annotated[bool, Option("--split", help="Send every byte as its own segment.")]


@app.command(cls=Command)
def modbus(
    *,
    port: Port = 5020,
    host: Host = "127.0.0.1",
    transport: Annotated[
        Literal["tcp", "rtu-over-tcp"], Option(help="Modbus TCP, or RTU frames over TCP.")
    ] = "tcp",
    delay: Delay = "0ms",
    refuse: Refuse = False,
    drop_every: DropEvery = 0,
    truncate_every: TruncateEvery = 0,
    silent_after: SilentAfter = "0s",
    split: Split = False,
    illegal: Annotated[
        list[str] | None,
        Option(metavar="AREA:ADDRESS", help="Refuse it, as holding:900; repeatable."),
    ] = None,
    exception: Annotated[
        list[str] | None,
        Option(metavar="AREA:ADDRESS=CODE", help="Refuse it with this code, as holding:900=04; repeatable."),
    ] = None,
    stale_every: Annotated[
        int, Option(min=0, metavar="N", help="Give every Nth answer the transaction id before.")
    ] = 0,
    silent_unit: Annotated[
        list[int] | None, Option(min=0, max=255, metavar="ID", help="No answer from that unit; repeatable.")
    ] = None,
    gateway: Annotated[
        bool, Option("--gateway", help="Answer exception 0B for units that are silent or not there.")
    ] = False,
) -> None:
    """Two presses as unit 1 and 2, with values that move, until SIGTERM or Ctrl-C. Exit 0."""
    from collectors.simulate.faults import parse_delay
    from collectors.simulate.modbus import run
    from collectors.simulate.modbus_faults import Faults, parse_address, parse_exception

    try:
        faults = Faults(
            delay_s=parse_delay(delay),
            refuse=refuse,
            drop_every=drop_every,
            truncate_every=truncate_every,
            silent_after_s=parse_delay(silent_after),
            split=split,
            illegal=frozenset(map(parse_address, illegal or [])),
            exceptions=frozenset(map(parse_exception, exception or [])),
            stale_every=stale_every,
            silent_units=frozenset(silent_unit or []),
            gateway=gateway,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    _serve(run(host, port, transport, faults), f"{host}:{port}")


@app.command(cls=Command)
def melsec(
    *,
    port: Port = 5000,
    host: Host = "127.0.0.1",
    frame: Annotated[Literal["1E", "3E", "4E"], Option(help="Frame of requests and answers.")] = "1E",
    code: Annotated[Literal["binary", "ascii"], Option(help="Code of the frames.")] = "binary",
    series: Annotated[Literal["FX3", "Q", "iQ-R", "iQ-F"], Option(help="Series of the PLC.")] = "FX3",
    delay: Delay = "0ms",
    refuse: Refuse = False,
    drop_every: DropEvery = 0,
    truncate_every: TruncateEvery = 0,
    silent_after: SilentAfter = "0s",
    stale_every: Annotated[
        int, Option(min=0, metavar="N", help="Give every Nth answer the serial number before (4E).")
    ] = 0,
    split: Split = False,
    illegal: Annotated[
        list[str] | None,
        Option(metavar="DEVICE", help="Refuse it as out of range, as D900 or X0x1F; repeatable."),
    ] = None,
) -> None:
    """A packing line on a PLC, with values that move, until SIGTERM or Ctrl-C. Exit 0."""
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
            silent_after_s=parse_delay(silent_after),
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


@app.command(cls=Command)
def opcua(
    *,
    port: Port = 4840,
    host: Host = "127.0.0.1",
    every: Annotated[str, Option(metavar="DURATION", help="How often values change.")] = "500ms",
    items: Annotated[int, Option(min=0, metavar="N", help="So many values that all change, instead.")] = 0,
    delay: Delay = "0ms",
    refuse: Refuse = False,
    drop_every: DropEvery = 0,
    truncate_every: TruncateEvery = 0,
    silent_after: SilentAfter = "0s",
    split: Split = False,
    bad: Annotated[
        list[str] | None, Option(metavar="NODE", help="Its status is bad, as Press1.Pressure; repeatable.")
    ] = None,
    retyped: Annotated[
        list[str] | None, Option(metavar="NODE", help="It is a Double whatever it was; repeatable.")
    ] = None,
    max_nodes: Annotated[int, Option(min=0, metavar="N", help="Refuse calls of more nodes.")] = 0,
) -> None:
    """Two presses and a boiler on every security policy, until SIGTERM or Ctrl-C. Exit 0."""
    from collectors.simulate.faults import parse_delay
    from collectors.simulate.opcua import run
    from collectors.simulate.opcua_faults import Faults
    from collectors.simulate.opcua_plant import load, plant

    try:
        every_s = parse_delay(every)
        faults = Faults(
            delay_s=parse_delay(delay),
            refuse=refuse,
            drop_every=drop_every,
            truncate_every=truncate_every,
            silent_after_s=parse_delay(silent_after),
            split=split,
            bad=frozenset(bad or ()),
            retyped=frozenset(retyped or ()),
            max_nodes=max_nodes,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    variables = load(items, every_s) if items else plant()
    if unknown := (faults.bad | faults.retyped) - variables.keys():
        raise typer.BadParameter(f"there is no node {min(unknown)}; there are {', '.join(variables)}")
    _serve(run(host, port, every_s, faults, variables), f"{host}:{port}")
