"""The options that every command takes, after the command or before it, or from the environment as ``DAQ_…``."""

from __future__ import annotations

import functools
import inspect
import socket
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from posixpath import normpath
from typing import Annotated, Any, Literal, get_type_hints

import typer

from collectors.contract import StateDir, parse_duration, parse_size
from reconciler.gitsource.remote import Remote
from reconciler.model import Node
from reconciler.server.address import Address

DEFAULT_LISTEN = "127.0.0.1:8000"
SYSTEM_DESIRED, SYSTEM_STATE_DIR = Path("/etc/daq/desired"), Path("/var/lib/daq")
"""Where the service has them: what commands are about that are not given in a plant's directory."""


def _unset(variable: str, metavar: str, says: str) -> Any:
    """An option without a default to show."""
    return typer.Option(envvar=variable, metavar=metavar, help=says, show_default=False)


@dataclass(frozen=True, slots=True)
class Options:
    """Where manifests and state are, and what this machine is called."""

    desired: Annotated[
        Path | None,
        _unset(
            "DAQ_DESIRED",
            "DIR",
            "Directory of the manifests. Default: ./desired; where neither it nor ./.daq exists, /etc/daq/desired "
            "if there is one.",
        ),
    ] = None
    git: Annotated[
        str | None,
        _unset("DAQ_GIT", "REPO", "Take manifests from commits of this repository (path or URL) only."),
    ] = None
    branch: Annotated[str, typer.Option(envvar="DAQ_BRANCH", help="With --git: which branch.")] = "main"
    path: Annotated[
        str, typer.Option(envvar="DAQ_PATH", metavar="DIR", help="With --git: directory of the manifests.")
    ] = "desired"
    pull: Annotated[
        str,
        typer.Option(envvar="DAQ_PULL", metavar="DURATION", help="With --git: fetch so often."),
    ] = "60s"
    verify_signatures: Annotated[
        Path | None,
        _unset(
            "DAQ_VERIFY_SIGNATURES",
            "FILE",
            "With --git: take only commits signed by an SSH key in this file of allowed signers.",
        ),
    ] = None
    state_dir: Annotated[
        Path | None,
        _unset(
            "DAQ_STATE_DIR",
            "DIR",
            "Where daq keeps its state. Default: ./.daq where it or ./desired exists, else /var/lib/daq.",
        ),
    ] = None
    listen: Annotated[
        str,
        typer.Option(envvar="DAQ_LISTEN", metavar="HOST:PORT", help="Address of the endpoint; `none` = off."),
    ] = DEFAULT_LISTEN
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            envvar="DAQ_ALLOWED_HOST",
            metavar="NAME",
            help="Another name under which the endpoint is reached; repeatable.",
        ),
    ] = None
    api_token_file: Annotated[
        Path | None,
        _unset("DAQ_API_TOKEN_FILE", "FILE", "The endpoint asks for the token in this file."),
    ] = None
    tls_cert: Annotated[
        Path | None,
        _unset(
            "DAQ_TLS_CERT", "FILE", "The endpoint speaks HTTPS with this certificate (PEM, with its chain)."
        ),
    ] = None
    tls_key: Annotated[
        Path | None,
        _unset("DAQ_TLS_KEY", "FILE", "Private key of --tls-cert, where it is another file."),
    ] = None
    node: Annotated[
        str,
        typer.Option(
            envvar="DAQ_NODE", help="Name of this machine. Default: its host name.", show_default=False
        ),
    ] = ""
    label: Annotated[
        list[str] | None,
        typer.Option(
            envvar="DAQ_LABEL", metavar="K=V", help="Label of this machine, for nodeSelector; repeatable."
        ),
    ] = None
    buffer_total: Annotated[
        str | None,
        _unset(
            "DAQ_BUFFER_TOTAL",
            "SIZE",
            "What all outboxes together may take of the disk. Default: 20 % of it, at most 10GiB.",
        ),
    ] = None
    senders: Annotated[
        Literal["here", "elsewhere"],
        typer.Option(
            envvar="DAQ_SENDERS", help="Who keeps the senders of sinks: the loop, or `daq send` elsewhere."
        ),
    ] = "here"
    log_format: Annotated[
        Literal["text", "json"], typer.Option(envvar="DAQ_LOG_FORMAT", help="How `daq run` logs.")
    ] = "text"

    @property
    def state(self) -> StateDir:
        """The state directory in force, absolute, links resolved."""
        chosen = self.state_dir or (Path(".daq") if _in_a_plant() else SYSTEM_STATE_DIR)
        return StateDir(chosen.resolve())

    @property
    def directory(self) -> Path:
        """Where manifests lie that are no commits."""
        installed = not _in_a_plant() and SYSTEM_DESIRED.is_dir()
        return self.desired or (SYSTEM_DESIRED if installed else Path("desired"))

    @property
    def manifests(self) -> Path | Remote:
        """Where manifests come from. Raises typer.BadParameter."""
        if self.git is None:
            if self.verify_signatures:
                raise typer.BadParameter(
                    "--verify-signatures needs --git: files of a directory bear no signature"
                )
            return self.directory
        try:
            pull_s = parse_duration(self.pull)
        except ValueError as error:
            raise typer.BadParameter(f"--pull: {error}") from None
        path = normpath(self.path)
        if path.startswith(("/", "..")):
            raise typer.BadParameter(
                f"--path {self.path!r} lies outside the repository; write it from its top"
            )
        return Remote(self.git, self.branch, path, pull_s, self.verify_signatures)

    @property
    def this_node(self) -> Node:
        """The machine as manifests see it. Raises typer.BadParameter for a label without `=`, or what is no size."""
        labels = {}
        for text in self.label or []:
            key, equals, value = text.partition("=")
            if not equals or not key:
                raise typer.BadParameter(f"{text!r} is no label; write --label KEY=VALUE")
            labels[key] = value
        try:
            total = None if self.buffer_total is None else parse_size(self.buffer_total)
        except ValueError as error:
            raise typer.BadParameter(f"--buffer-total: {error}") from None
        return Node(
            self.node or socket.gethostname(), labels, total, senders_elsewhere=self.senders == "elsewhere"
        )

    @property
    def endpoint(self) -> Address | None:
        """Where the endpoint listens and what it asks for, or None when it is off. Raises typer.BadParameter."""
        if self.listen == "none":
            return None
        host, colon, port = self.listen.rpartition(":")
        if not colon or not host or not port.isdigit() or int(port) > 0xFFFF:
            raise typer.BadParameter(f"{self.listen!r} is no address; write --listen HOST:PORT, or `none`")
        if self.tls_key and not self.tls_cert:
            raise typer.BadParameter(
                "--tls-key needs --tls-cert: a key without its certificate proves nothing"
            )
        return Address(
            host.strip("[]"),
            int(port),
            tuple(self.allowed_host or ()),
            self.api_token_file,
            self.tls_cert,
            self.tls_key,
        )


def _in_a_plant() -> bool:
    """Whether the working directory is that of a plant."""
    return Path(".daq").exists() or Path("desired").exists()


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose first parameter is an :class:`Options`, the common options as its own."""
    hints = get_type_hints(command, include_extras=True)
    first, *own = inspect.signature(command).parameters.values()
    common = get_type_hints(Options, include_extras=True)
    parameters = [p.replace(annotation=hints[p.name]) for p in own]
    parameters += [
        inspect.Parameter(
            f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=common[f.name]
        )
        for f in fields(Options)
    ]

    @functools.wraps(command)
    def wrapper(*args: Any, **values: Any) -> None:
        options = Options(**{f.name: values.pop(f.name) for f in fields(Options)})
        command(options, *args, **values)

    wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in parameters} | {"return": None}
    del wrapper.__wrapped__, first
    return wrapper


def options_last(arguments: list[str]) -> list[str]:
    """Move options that stand before the command behind it, so that they may stand on either side."""
    names = {"--" + f.name.replace("_", "-") for f in fields(Options)}
    at = 0
    while at < len(arguments):
        name, equals, _ = arguments[at].partition("=")
        if name not in names:
            break
        at += 1 if equals else 2
    before, after = arguments[:at], arguments[at:]
    if not after or after[0].startswith("-"):
        return arguments
    end = after.index("--") if "--" in after else len(after)
    return [*after[:end], *before, *after[end:]]
