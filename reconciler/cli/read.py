"""`daq read`: every tag once, with the raw words it is made of."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer import Argument, Option

from collectors.contract import read_values
from reconciler.cli.asking import fail
from reconciler.cli.connecting import read_devices
from reconciler.cli.options import Options
from reconciler.cli.text import columns, duration, table

if TYPE_CHECKING:
    from reconciler.model import Manifest

What = Annotated[str, Argument(metavar="NAME|FILE", help="A collector, or a file of manifests.")]

HEADER = ("DEVICE", "TAG", "RAW", "VALUE", "UNIT", "QUALITY", "AGE")
OLD_AFTER_S = 3.0
"""A running collector answers within a second; it wrote what is older for somebody before."""


@dataclass(frozen=True, slots=True)
class Target:
    """A collector to read; relative paths of its secrets start at `directory`."""

    manifest: Manifest
    directory: Path
    running: bool = False


def read(
    options: Options,
    what: What,
    *,
    direct: Annotated[bool, Option("--direct", help="Connect, also where the collector runs.")] = False,
    output: Annotated[Literal["table", "json"], Option("--output", "-o", help="How to print.")] = "table",
) -> None:
    """Every tag once: raw words, value, unit, quality. Of a running collector its last cycle; else, or with --direct,
    this command connects, reads and stores nothing. Exit 0 all good, 1 not.
    """
    is_file = Path(what).is_file() or what.endswith((".yaml", ".yml"))
    targets = _in_file(options, Path(what)) if is_file else [_named(options, what)]
    values: list[dict[str, Any]] = []
    troubles: list[str] = []
    for target in targets:
        if target.running and not direct:
            values += _last_cycle(options, target)
        else:
            found, wrong = _connected(options, target)
            values += found
            troubles += wrong
    for trouble in troubles:
        typer.echo(trouble, err=True)
    if output == "json":
        typer.echo(json.dumps(values, ensure_ascii=False, indent=2))
    else:
        typer.echo(table(HEADER, list(_rows(values)), fit=columns(), elastic=HEADER.index("RAW")))
    raise typer.Exit(int(bool(troubles) or any(value["quality"] != "good" for value in values)))


def _in_file(options: Options, path: Path) -> list[Target]:
    from reconciler import desired

    try:
        manifests, errors = desired.check([path], options.directory)
    except OSError as error:
        fail(f"cannot read {error.filename}: {error.strerror}", code=1)
    if errors:
        fail("\n".join(map(str, errors)), code=1)
    here = [m for m in manifests.values() if Path(m.path).name == path.name and _has_tags(m)]
    if not here:
        fail(f"cannot read {path}: no manifest in it has devices and tags", code=1)
    return [Target(manifest, path.resolve().parent) for manifest in here]


def _named(options: Options, name: str) -> Target:
    from reconciler.loop.reconcile import Reconciler

    with Reconciler.reading(options.state, options.manifests, options.this_node) as reconciler:
        look, root = reconciler.look_settled(), reconciler.reader.root
    manifest = look.desired.manifests.get(name)
    if manifest is None:
        fail(f"cannot read {name}: no manifest of that name, and no such file", code=1)
    if not _has_tags(manifest):
        fail(f"cannot read {name}: a {manifest.kind} of type {manifest.type} has no devices and tags", code=1)
    running = any(step.instances for step in look.plan.steps if step.name == name)
    return Target(manifest, (root / manifest.path).parent, running)


def _has_tags(manifest: Manifest) -> bool:
    return manifest.kind == "Collector" and manifest.type != "exec"


def _last_cycle(options: Options, target: Target) -> list[dict[str, Any]]:
    name = target.manifest.name
    asked_at = time.time()
    try:
        found = read_values(options.state, name)
    except OSError as error:
        fail(f"cannot ask {name} for its values: {error.filename}: {error.strerror}", code=1)
    if found is None or asked_at - found["at"] > OLD_AFTER_S:
        fail(
            f"cannot read {name}: it runs but does not tell its values; see daq logs {name}, or read --direct",
            code=1,
        )
    values: list[dict[str, Any]] = found["values"]
    return values


def _connected(options: Options, target: Target) -> tuple[list[dict[str, Any]], list[str]]:
    """The values, and what went wrong on the way to them."""
    from collectors.spec import parse

    manifest = target.manifest
    if target.running:
        typer.echo(
            f"{manifest.name} is running: this is a second connection, and many devices take only one",
            err=True,
        )
    spec = parse(manifest.name, manifest.given)
    values, reports = read_devices(options, spec, target.directory, manifest.texts)
    wrong = [report.last_error for report in reports if report.last_error]
    wrong += [
        f"cannot read {q.tag} ({q.address}) of {report.name}: {q.reason}"
        for report in reports
        for q in report.quarantined
    ]
    return values, list(dict.fromkeys(wrong))


def _rows(values: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    now = time.time()
    for value in values:
        reason = value.get("reason")
        yield (
            value["device"],
            value["tag"],
            value["raw"] or "-",
            "-" if value["value"] is None else json.dumps(value["value"], ensure_ascii=False),
            value["unit"] or "",
            value["quality"] + (f" ({reason})" if reason else ""),
            duration(None if value["at"] is None else now - value["at"]),
        )
