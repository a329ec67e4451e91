"""One table over all hosts of a fleet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer

from reconciler.cli.asking import fail
from reconciler.cli.chosen import labels
from reconciler.cli.progress import progress
from reconciler.cli.statustable import fleet_table
from reconciler.cli.text import painted


def show_fleet(file: Path, names: Sequence[str], selector: Sequence[str] | None, *, output: str) -> None:
    """Print it. Exit 1 if any wanted collector is not healthy or a host does not answer, 2 on error."""
    from reconciler.fleet.asking import ask_all, read_fleet
    from reconciler.fleet.nodes import FleetError

    try:
        hosts = read_fleet(file)
    except FleetError as error:
        fail(str(error))
    with progress(f"asking {len(hosts)} hosts"):
        answers = list(ask_all(hosts, file.parent))
    wanted = labels(selector).items()
    chosen: list[Mapping[str, Any]] = [
        p
        for answer in answers
        for p in ({**p, "node": answer.host.node.name} for p in answer.processes)
        if (not names or p["name"] in names) and wanted <= p["labels"].items()
    ]
    silent = [f"{a.host.node.name}: {a.error}" for a in answers if a.error]
    if output == "json":
        revisions = {a.host.node.name: (a.summary or {}).get("revision") for a in answers}
        document = {"revisions": revisions, "unreachable": silent, "processes": chosen}
        typer.echo(json.dumps(document, ensure_ascii=False, indent=2))
    else:
        for name, summary in ((a.host.node.name, a.summary) for a in answers if a.summary):
            state = "converged" if summary["converged"] else "not converged"
            revision = (summary["revision"] or "no revision")[:12]
            typer.echo(f"{name}: {state}, {revision}, {summary['total_processes']} collectors")
        typer.echo(fleet_table(chosen))
        for line in silent:
            typer.echo(painted(f"down  {line}"))
    if silent or any(p["health"] in ("down", "degraded") for p in chosen):
        raise typer.Exit(1)
