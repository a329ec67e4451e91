"""`daq probe`: the words at an address, beside what each type and order would make of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer import Argument, Option

from collectors.contract import check_spec
from reconciler.cli.asking import fail
from reconciler.cli.connecting import read_devices
from reconciler.cli.options import Options
from reconciler.cli.text import table

Url = Annotated[
    str,
    Argument(
        help="modbus://host:port/unitId?address=holding:0&count=4, or "
        "melsec://host:port?frame=1E&series=FX3&address=D0&count=4; further keys of a device go into the query."
    ),
]

WIDTHS: Sequence[Sequence[str]] = (
    ("int16", "uint16", "bcd16"),
    ("int32", "uint32", "float32", "bcd32"),
    ("int64", "uint64", "float64"),
    ("string",),
    ("bool",),
)
"""The types that are shown beside each other."""


def probe(
    options: Options,
    url: Url,
    *,
    output: Annotated[Literal["table", "json"], Option("--output", "-o", help="How to print.")] = "table",
) -> None:
    """The raw words at an address, beside every type and order. Exit 0; 1 where they cannot be read."""
    from collectors.probe import every_reading, manifest_of

    try:
        manifest = manifest_of(url)
    except ValueError as error:
        fail(str(error), code=1)
    _validate(manifest)
    values, (report,) = read_devices(options, every_reading(manifest["spec"]), Path.cwd(), {})
    found = [_reading(value) for value in values]
    address = manifest["spec"]["tags"][0]["address"]
    refused = {
        one["offset"]: one["reason"] for one in found if one["type"] in ("int16", "bool") and not one["raw"]
    }
    wrong = [f"cannot read {address} +{offset}: {reason}" for offset, reason in refused.items()]
    for sentence in [report.last_error] if report.last_error else wrong:
        typer.echo(sentence, err=True)
    if output == "json":
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif any(one["raw"] for one in found):
        tables = [_table(found, types) for types in WIDTHS]
        typer.echo("\n\n".join(filter(None, tables)))
    if opinion := _second_opinion(manifest["spec"], found):
        typer.echo(opinion, err=True)
    raise typer.Exit(int(bool(wrong)))


def _second_opinion(spec: Mapping[str, Any], found: Sequence[Mapping[str, Any]]) -> str | None:
    """What a driver that is not ours says to the same words."""
    from collectors.second_opinion import NoOpinionError, second_opinion

    asked = second_opinion(spec)
    if asked is None:
        return None
    driver, read = asked
    raw = {one["offset"]: one["raw"] for one in found if one["type"] in ("uint16", "bool") and one["raw"]}
    ours = [int(text, 0) for _, text in sorted(raw.items())]
    try:
        theirs = list(read())
    except NoOpinionError as error:
        return f"second opinion: {driver} cannot read it{'' if ours else ' either'}: {error}"
    if theirs == ours:
        return f"second opinion: {driver} reads the same"
    words = " ".join(f"0x{word:04X}" for word in theirs)
    return f"second opinion: {driver} reads {words}; a value that moves is another at each reading"


def _validate(manifest: Mapping[str, Any]) -> None:
    """As any manifest; ends the command with what is wrong."""
    from reconciler.desired.sentences import schema_problems

    problems = [
        f"{steps[-1] if steps else 'url'}: {message}"
        for steps, _, message in schema_problems("Collector", manifest)
    ]
    problems = problems or [
        f"{p.path[-1]}: {p.message}" for p in check_spec("Collector", "probe", manifest["spec"])
    ]
    if problems:
        fail("\n".join(f"cannot probe: {problem}" for problem in problems), code=1)


def _reading(value: Mapping[str, Any]) -> dict[str, Any]:
    offset, kind, order = value["tag"].split()
    why = {"reason": value["reason"]} if "reason" in value else {}
    shown = {
        "offset": int(offset),
        "raw": value["raw"],
        "type": kind,
        "order": None if order == "-" else order,
    }
    return {**shown, "value": value["value"], **why}


def _table(found: Sequence[Mapping[str, Any]], types: Sequence[str]) -> str:
    """A line for each offset and order, a column for each type."""
    lines: dict[tuple[int, str], dict[str, str]] = {}
    raw: dict[int, str] = {}
    for one in found:
        if one["type"] in types:
            raw[one["offset"]] = one["raw"]
            cells = lines.setdefault((one["offset"], one["order"] or ""), {})
            cells[one["type"]] = "-" if one["value"] is None else json.dumps(one["value"], ensure_ascii=False)
    shown = [t for t in types if any(t in cells for cells in lines.values())]
    rows = [
        (f"+{offset}", raw[offset] or "-", order, *(cells[t] for t in shown))
        for (offset, order), cells in sorted(lines.items())
    ]
    return table(("AT", "RAW", "ORDER", *shown), rows) if rows else ""
