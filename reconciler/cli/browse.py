"""`daq browse`: what an OPC UA server has to read, as a tree or as tags for a manifest."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer import Argument, Option

from reconciler.cli.asking import fail
from reconciler.cli.opcuaserver import declared, written
from reconciler.cli.options import Options
from reconciler.cli.progress import progress

if TYPE_CHECKING:
    from collectors.protocols.opcua_browse import Found

_TYPES = {
    "Boolean": "bool", "SByte": "int16", "Byte": "uint16", "Int16": "int16", "UInt16": "uint16",
    "Int32": "int32", "UInt32": "uint32", "Int64": "int64", "UInt64": "uint64", "Float": "float32",
    "Double": "float64", "String": "string", "LocalizedText": "string", "DateTime": "string",
    "Guid": "string",
}  # fmt: skip

What = Annotated[
    str,
    Argument(
        metavar="URL|NAME|FILE",
        help="An endpoint, as opc.tcp://192.168.1.10:4840; or the collector, or its file, that declares it.",
    ),
]


def browse(
    options: Options,
    what: What,
    *,
    output: Annotated[
        Literal["tree", "yaml"], Option("--output", "-o", help="A tree, or ready tags for a manifest.")
    ] = "tree",
    below: Annotated[str, Option(metavar="ID", help="Below this node, as nsu=urn:plant;s=Press.")] = "",
    depth: Annotated[int, Option(min=1, max=50, help="How many levels.")] = 10,
    server: Annotated[bool, Option("--server", help="Also what the server says of itself.")] = False,
    security: Annotated[
        str, Option(metavar="POLICY/MODE", help="With a URL, as Basic256Sha256/SignAndEncrypt.")
    ] = "",
    user: Annotated[str, Option(metavar="NAME", help="With a URL: user the server knows.")] = "",
    password_env: Annotated[str, Option(metavar="NAME", help="Variable that holds its password.")] = "",
    password_file: Annotated[str, Option(metavar="PATH", help="File that holds its password.")] = "",
    timeout: Annotated[str, Option(metavar="DURATION", help="How long to wait for an answer.")] = "4s",
) -> None:
    """Print the address space of an OPC UA server. Exit 0; 1 where it cannot be reached.

    A server that wants a certificate or a user is best declared first: its manifest says how to connect.
    """
    from collectors.model import LinkLostError
    from collectors.protocols.opcua_browse import browse as nodes_of
    from collectors.session import Home

    if "://" in what:
        password = {"env": password_env} if password_env else {"file": password_file} if password_file else {}
        target, directory = written(what, security, user, password, timeout), Path.cwd()
    elif security or user:
        raise typer.BadParameter("--security and --user go with a URL; a manifest says them itself")
    else:
        target, directory = declared(options, what)
    found = nodes_of(target, Home(options.state, directory, options.this_node.name), below, depth)
    show = _show_tags if output == "yaml" else _show_tree
    try:
        asyncio.run(show(found, server))
    except (LinkLostError, ValueError) as error:
        fail(str(error), code=1)


async def _wanted(found: AsyncIterator[Found], server: bool) -> AsyncIterator[Found]:
    """Without what every server has in namespace 0, unless asked for."""
    async for one in found:
        if server or not re.fullmatch(r"i=\d+", one.node):
            yield one


async def _show_tree(found: AsyncIterator[Found], server: bool) -> None:
    async for one in _wanted(found, server):
        what = f"  {one.type or '-'} = {one.value}" if one.is_variable else ""
        typer.echo(printable(f"{'  ' * one.depth}{one.name}{what}  {one.node}"))


async def _show_tags(found: AsyncIterator[Found], server: bool) -> None:
    with progress("browsing"):
        variables = [one async for one in _wanted(found, server) if one.is_variable]
    taken = [one for one in variables if not one.type or one.type in _TYPES]
    typer.echo("tags:")
    for one, name in zip(taken, _names([one.path for one in taken]), strict=True):
        kind = f", type: {_TYPES[one.type]}" if one.type else ""
        node = json.dumps(one.node, ensure_ascii=not one.node.isprintable())
        typer.echo(f"  - {{name: {name}, node: {node}{kind}}}")
    for one in variables:
        if one not in taken:
            typer.echo(printable(f"  # left out, for a tag cannot hold {one.type}: {one.node}"))


def printable(text: str) -> str:
    """Without what a server might do to a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _names(paths: Sequence[tuple[str, ...]]) -> list[str]:
    """A field name for each path: of its end, as much as no other path shares."""
    words = [tuple(map(_word, path)) for path in paths]
    ends = Counter("_".join(w[-n:]) for w in words for n in range(1, len(w) + 1))
    names: list[str] = []
    for path in words:
        candidates = ["_".join(path[-n:]) for n in range(1, len(path) + 1)]
        name = next((c for c in candidates if ends[c] == 1), candidates[-1])
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


def _word(name: str) -> str:
    """``OilTemperature`` as ``oil_temperature``."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"\W+", "_", snake).strip("_").lower() or "node"
