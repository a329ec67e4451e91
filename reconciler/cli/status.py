"""`daq status`: what is observed, the worst first column."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import typer

from collectors.contract import read_json
from reconciler.cli.options import Options
from reconciler.cli.text import duration, table
from reconciler.loop.ask import answers

Output = Literal["table", "wide", "json", "yaml"]
Status = Mapping[str, Any]

HEADER = ("HEALTH", "NAME", "TYPE", "STATUS", "REASON", "DEVICES", "LAST READ", "RESTARTS", "QUEUED")
USUAL = ("Ready", "Healthy")
"""Conditions that are always there, and good when True."""
WIDE = ("PID", "CPU %", "MEM MB", "UPTIME", "DIGEST", "MANIFEST", "TITLE")


def status(
    options: Options,
    names: Annotated[list[str] | None, typer.Argument(help="Only these.", show_default=False)] = None,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = "table",
    selector: Annotated[
        list[str] | None, typer.Option("-l", metavar="LABEL=VALUE", help="Only with this label.")
    ] = None,
) -> None:
    """What is observed. Exit 1 if any wanted one is not healthy, 2 on error."""
    document = read_status(options)
    chosen = _choose(document["processes"], names or [], selector or [])
    if output == "json":
        typer.echo(json.dumps({**document, "processes": chosen}, ensure_ascii=False, indent=2))
    elif output == "yaml":
        import yaml

        typer.echo(
            yaml.safe_dump({**document, "processes": chosen}, allow_unicode=True, sort_keys=False), nl=False
        )
    else:
        typer.echo(_heading(options, document))
        typer.echo(_table(chosen, wide=output == "wide"))
        for line in _remarks(chosen, document):
            typer.echo(line)
    if any(p["health"] in ("down", "degraded") for p in chosen):
        raise typer.Exit(1)


def read_status(options: Options) -> Mapping[str, Any]:
    """The running loop's status.json, or, where none runs, one look of our own."""
    state = options.state
    if answers(state):
        try:
            document: Mapping[str, Any] = read_json(state.root / "status.json")
        except (OSError, ValueError) as error:
            typer.echo(f"cannot read {state.root / 'status.json'}: {error}", err=True)
            raise typer.Exit(2) from None
        return document
    from reconciler.loop.reconcile import Reconciler

    with Reconciler.reading(state, options.manifests, options.this_node) as reconciler:
        return reconciler.describe(reconciler.look_settled())


def _choose(processes: Sequence[Status], names: Sequence[str], selector: Sequence[str]) -> list[Status]:
    known = {p["name"] for p in processes}
    for name in names:
        if name not in known:
            typer.echo(f"cannot show {name!r}: there is no collector or sink of that name", err=True)
            raise typer.Exit(2)
    wanted = [p for p in processes if not names or p["name"] in names]
    for text in selector:
        key, equals, value = text.partition("=")
        if not equals:
            typer.echo(f"{text!r} is no label; write -l LABEL=VALUE", err=True)
            raise typer.Exit(2)
        wanted = [p for p in wanted if p["labels"].get(key) == value]
    return wanted


def _heading(options: Options, document: Mapping[str, Any]) -> str:
    reconciler, source = document["reconciler"], document["source"]
    if reconciler["pid"] is None:
        loop = "no loop is running (collectors go on without it); seen just now"
    else:
        loop = f"loop {reconciler['pid']}, seen {duration(time.time() - reconciler['heartbeat_at'])} ago"
    applied = source["applied"] or "no revision"
    state = "converged" if document["converged"] else "not converged"
    return f"{options.state.root} on {reconciler['node']}: {state}, {applied[:12]}; {loop}"


def _table(processes: Sequence[Status], *, wide: bool) -> str:
    now = time.time()
    rows = []
    for p in processes:
        devices = p["devices"]
        read_at = max((d["last_read_at"] or 0 for d in devices), default=0)
        row = [
            p["health"],
            p["name"],
            p["type"],
            p["status"],
            _reason(p),
            f"{sum(d['connected'] for d in devices)}/{len(devices)}" if devices else "-",
            f"{duration(now - read_at)} ago" if read_at else "-",
            str(p["restart_count"]),
            str(p["points"]["queued"]),
        ]
        if wide:
            row += [
                str(p["pid"] or "-"),
                f"{p['cpu_percent']:.1f}",
                f"{p['memory_mb']:.1f}",
                duration(p["uptime_s"]),
                p["digest"] or "-",
                f"{p['manifest']['path']}:{p['manifest']['line']}"
                if p["manifest"] and p["manifest"]["path"]
                else "-",
                p["title"] or "",
            ]
        rows.append(row)
    return table(HEADER + WIDE if wide else HEADER, rows)


def _reason(process: Status) -> str:
    """The reason of the condition that keeps it from health, else of Ready."""
    by_type = {c["type"]: c for c in process["conditions"]}
    for kind in USUAL:
        if by_type[kind]["status"] != "True":
            return str(by_type[kind]["reason"])
    return str(by_type["Ready"]["reason"])


def _remarks(processes: Sequence[Status], document: Mapping[str, Any]) -> list[str]:
    """A line for everything that wants a person."""
    lines = []
    if document["source"]["error"]:
        lines.append(document["source"]["error"])
    for p in processes:
        found = [c for c in p["conditions"] if c["type"] not in USUAL]
        if p["health"] in ("down", "degraded"):
            found += [c for c in p["conditions"] if c["type"] in USUAL and c["status"] != "True"]
        lines += dict.fromkeys(f"{p['name']}: {c['message']} ({c['reason']})" for c in found)
    return lines
