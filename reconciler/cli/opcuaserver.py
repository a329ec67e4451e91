"""The OPC UA server that a command means: a url with options, or one that a manifest declares."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from reconciler import desired
from reconciler.cli.asking import fail
from reconciler.cli.manifests import UnreadError, manifests_of
from reconciler.cli.options import Options
from reconciler.model import Manifest

if TYPE_CHECKING:
    from collectors.protocols.opcua import Server


def written(url: str, security: str, user: str, password: Mapping[str, str], timeout: str) -> Server:
    """The server of a url. Raises typer.BadParameter."""
    from collectors.protocols import opcua

    device: dict[str, Any] = {**opcua.DEFAULTS, "url": url, "timeout": timeout}
    if security:
        policy, _, mode = security.partition("/")
        device["security"] = {"policy": policy, "mode": mode}
    if user:
        device["user"] = {"name": user, "password": password}
    try:
        if user and not password:
            raise ValueError("a user needs a password; write --password-env NAME or --password-file PATH")
        return opcua.parse_device("server", device)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def declared(options: Options, what: str) -> tuple[Server, Path]:
    """The server of a collector (NAME, or NAME/DEVICE where it has several) or of a file, and where paths start.

    Ends the command where there is none, or more than one.
    """
    from collectors.protocols import opcua
    from collectors.spec import parse

    is_file = what.endswith((".yaml", ".yml"))
    name, _, device = ("", "", "") if is_file else what.partition("/")
    found = [
        (manifest.name, server)
        for manifest in (_in_file(options, Path(what)) if is_file else _in_force(options))
        if manifest.type == "opcua" and name in ("", manifest.name)
        for server in parse(manifest.name, manifest.spec).devices
        if device in ("", server.name)
    ]
    if not found:
        where = what if is_file else options.directory
        fail(
            f"cannot browse {what}: there is no such collector of type opcua in {where}, and it is no URL",
            code=1,
        )
    if len(found) > 1:
        names = ", ".join(f"{collector}/{server.name}" for collector, server in found)
        fail(f"cannot browse several servers at once; write one of {names}", code=1)
    ((_, server),) = found
    assert isinstance(server, opcua.Server)
    return server, options.directory.resolve().parent


def _in_force(options: Options) -> Iterable[Manifest]:
    try:
        return manifests_of(options).manifests.values()
    except UnreadError as error:
        fail(str(error), code=1)


def _in_file(options: Options, path: Path) -> Iterable[Manifest]:
    try:
        manifests, errors = desired.check([path], options.directory)
    except OSError as error:
        fail(f"cannot read {error.filename}: {error.strerror}", code=1)
    if errors:
        fail("\n".join(map(str, errors)), code=1)
    return [m for m in manifests.values() if Path(m.path).name == path.name]
