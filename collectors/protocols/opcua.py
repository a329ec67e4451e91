"""OPC UA: node names, defaults, servers. The driver is imported when a server is first talked to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from collectors.model import Address, Device, Limits, Link
from collectors.protocols.opcua_nodes import parse_node, parse_path
from collectors.quantities import parse_duration
from collectors.session import Home, Source

DEFAULTS: Mapping[str, Any] = {"timeout": "4s", "mode": "subscribe", "publishing": "500ms", "queue": 10}

DEFAULT_PORT = 4840
_NO_LIMITS = Limits(0, 0, 0)


@dataclass(frozen=True, slots=True)
class Security:
    """How the connection is protected; without a certificate of the user's, the node has one of its own."""

    policy: str = "None"
    mode: str = "None"
    certificate: str | None = None
    private_key: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Server(Device):
    """An OPC UA server; ``password`` says where it stands."""

    url: str
    subscribe: bool = True
    publishing_s: float = 0.5
    sampling_s: float = 0.5
    queue: int = 10
    security: Security = Security()
    user: str | None = None
    password: Mapping[str, str] | None = None


def parse_address(tag: Mapping[str, Any], _options: Mapping[str, Any]) -> Address:
    """Whether a tag names a ``node`` or a ``path``. Raises ValueError."""
    if "node" in tag:
        parse_node(str(tag["node"]))
        return Address("node", 0)
    parse_path(str(tag["path"]))
    return Address("path", 0)


def parse_device(name: str, options: Mapping[str, Any]) -> Server:
    """A server without labels and tags. Raises ValueError."""
    url, host, port = _address(str(options["url"]))
    user = options.get("user", {})
    return Server(
        name=name,
        link=Link(host, port, "opc.tcp"),
        unit=0,
        endpoint=url,
        timeout_s=parse_duration(options["timeout"]),
        pause_s=0.0,
        limits=_NO_LIMITS,
        url=url,
        subscribe=options["mode"] == "subscribe",
        security=_security(options.get("security", {})),
        user=user.get("name"),
        password=user.get("password"),
        **_pace(options),
    )


def source(device: Device, home: Home) -> Source:
    """The server to talk to."""
    from collectors.protocols.opcua_session import ServerSource  # noqa: PLC0415  (validation needs no driver)

    assert isinstance(device, Server)
    return ServerSource(device, home)


def _address(url: str) -> tuple[str, str, int]:
    """The url with its port, and host and port of it."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"{url!r} is no endpoint; its port is no number up to 65535") from None
    if not host or parts.scheme != "opc.tcp":
        raise ValueError(f"{url!r} is no endpoint; write for example opc.tcp://192.168.1.10:4840")
    if parts.username or parts.password:
        raise ValueError("a password never stands in a url; write user: {name: …, password: {env: NAME}}")
    if port is None:
        return parts._replace(netloc=f"{parts.netloc}:{DEFAULT_PORT}").geturl(), host, DEFAULT_PORT
    return url, host, port


def _pace(options: Mapping[str, Any]) -> dict[str, Any]:
    """Publishing, sampling and queue, where a queue holds what is sampled between two sendings."""
    publishing_s = parse_duration(options["publishing"])
    sampling_s = parse_duration(options["sampling"]) if "sampling" in options else publishing_s
    if publishing_s <= 0:
        raise ValueError("publishing must be longer than 0; write for example publishing: 500ms")
    queue = int(options["queue"])
    between = publishing_s / sampling_s if sampling_s else 0
    if between > queue:
        raise ValueError(
            f"a queue of {queue} cannot hold the {between:.0f} values sampled between two sendings; "
            f"write queue: {between + 1:.0f}, or a slower sampling"
        )
    return {"publishing_s": publishing_s, "sampling_s": sampling_s, "queue": queue}


def _security(options: Mapping[str, Any]) -> Security:
    policy, mode = str(options.get("policy", "None")), str(options.get("mode", "None"))
    if (policy == "None") != (mode == "None"):
        raise ValueError(
            f"security policy {policy} does not go with mode {mode}; "
            "write for example {policy: Basic256Sha256, mode: SignAndEncrypt}, or leave security out"
        )
    if ("certificate" in options) != ("privateKey" in options):
        raise ValueError(
            "certificate and privateKey belong together; write both, or neither to have one made"
        )
    return Security(policy, mode, options.get("certificate"), options.get("privateKey"))
