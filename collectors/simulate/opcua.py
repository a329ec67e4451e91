"""A simulated OPC UA server: live values of many types, and faults that may change meanwhile."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from collectors.simulate.front import Front
from collectors.simulate.opcua_faults import Faults
from collectors.simulate.opcua_plant import BAD_SENSOR, Variable, now, plant
from collectors.simulate.opcua_sessions import Access, Sessions, validator
from collectors.simulate.server import listen
from collectors.simulate.server import run as run_until_stopped

NAMESPACE = "urn:daq:simulator"
APPLICATION = "urn:daq:simulator:server"
EVERY_S = 0.5
_BEHIND = "127.0.0.1"
_HEADER = (8, lambda head: int.from_bytes(head[4:], "little"))
"""How a message of OPC UA begins: kind, and its size in all (OPC 10000-6 section 7.1.2.2)."""


class Plant:
    """A running server."""

    def __init__(self, server: Server, variables: Mapping[str, Variable], front: Front[Faults]) -> None:
        self.server = server
        self.variables = variables
        self._front = front
        self.namespace = 0
        self._top: Any = None
        self._retyped: set[str] = set()
        self._folders: dict[str, Any] = {}

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._front.port

    @property
    def faults(self) -> Faults:
        """What is wrong with it; set it at any time."""
        return self._front.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._front.faults = faults

    def node_id(self, path: str) -> ua.NodeId:
        """The node of a variable."""
        return ua.NodeId(path, self.namespace)

    async def add_nodes(self, paths: Iterable[str]) -> None:
        """Create variables, and the folders they lie in."""
        for path in paths:
            folder, _, name = path.partition(".")
            if folder not in self._folders:
                self._folders[folder] = await self._add_folder(folder)
            variable = self.variables[path]
            kind = ua.VariantType[variable.type]
            first = _variant(variable, kind, now()).Value
            await self._folders[folder].add_variable(
                self.node_id(path), f"{self.namespace}:{name}", first, varianttype=kind
            )

    async def _add_folder(self, name: str) -> Any:
        if self._top is None:
            objects = self.server.nodes.objects
            self._top = await objects.add_folder(self.node_id("Plant"), f"{self.namespace}:Plant")
        return await self._top.add_folder(self.node_id(name), f"{self.namespace}:{name}")

    async def move(self) -> None:
        """Give every variable its value of now."""
        t, at = now(), datetime.now(UTC)
        for path, variable in self.variables.items():
            retyped = path in self.faults.retyped
            kind = ua.VariantType.Double if retyped else ua.VariantType[variable.type]
            status = BAD_SENSOR if path in self.faults.bad else variable.status(t)
            value = _Value(
                _variant(variable, kind, t),
                StatusCode=ua.StatusCode(getattr(ua.StatusCodes, status)),
                SourceTimestamp=at,
                ServerTimestamp=at,
            )
            node = self.node_id(path)
            if retyped != (
                path in self._retyped
            ):  # the server lets only a node without value change its type
                self.server.set_attribute_value_callback(node, lambda *_, value=value: value)
                self._retyped ^= {path}
            await self.server.write_attribute_value(node, value)

    async def live(self, every_s: float) -> None:
        """Move, again and again."""
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            await self.move()
            due = max(due + every_s, clock())
            await asyncio.sleep(due - clock())


class _Value(ua.DataValue):  # type: ignore[misc]
    """Never changed once it is made: the server, which copies the values of each subscription, need not."""

    def __deepcopy__(self, _: object) -> _Value:
        return self


def _variant(variable: Variable, kind: ua.VariantType, t: float) -> ua.Variant:
    value = variable.value(t)
    if kind is ua.VariantType.LocalizedText:
        value = ua.LocalizedText(value)
    elif kind is ua.VariantType.Double and not isinstance(value, list):
        value = float(value)
    return ua.Variant(value, kind)


@asynccontextmanager
async def serve(
    variables: Mapping[str, Variable] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    every_s: float = EVERY_S,
    faults: Faults = Faults(),  # noqa: B008  (immutable)
    access: Access = Access(),  # noqa: B008  (immutable)
    shift: int = 0,
) -> AsyncIterator[Plant]:
    """A server with every security policy while the context lasts, its namespace after `shift` others.

    Raises OSError where the port is not to be had.
    """
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    async with listen(Front(faults, *_HEADER), host, port) as front:
        server = await _server(front, host, access)
        for n in range(shift):
            await server.register_namespace(f"urn:daq:other:{n}")
        served = Plant(server, plant() if variables is None else variables, front)
        served.namespace = await server.register_namespace(NAMESPACE)
        await served.add_nodes(served.variables)
        await served.move()
        async with server:
            front.target = server.socket_address
            living = asyncio.create_task(served.live(every_s))
            try:
                yield served
            finally:
                living.cancel()
                await asyncio.gather(living, return_exceptions=True)


async def _server(front: Front[Faults], host: str, access: Access) -> Server:
    """One that clients find where the front listens."""
    server = Server(Sessions(front, access))
    await server.init()
    await server.set_application_uri(APPLICATION)
    server.set_endpoint(f"opc.tcp://{host}:{front.port}/")
    server.socket_address = (_BEHIND, _free_port(_BEHIND))
    server.set_server_name("daq simulated plant")
    certificate, key = _certificate()
    await server.load_certificate(certificate, "der")
    await server.load_private_key(key, format="pem")
    if access.policies:
        server.set_security_policy([ua.SecurityPolicyType[policy] for policy in access.policies])
    if access.trusted:
        server.set_certificate_validator(validator(access.trusted))
    if access.user:
        server.set_identity_tokens([ua.UserNameIdentityToken])
    return server


def _certificate() -> tuple[bytes, bytes]:
    """A new certificate (DER) and its key (PEM)."""
    key = generate_private_key()
    names = [x509.UniformResourceIdentifier(APPLICATION), x509.DNSName("localhost")]
    certificate = generate_self_signed_app_certificate(
        key, "daq simulated plant", {}, names, [ExtendedKeyUsageOID.SERVER_AUTH]
    )
    return certificate.public_bytes(Encoding.DER), dump_private_key_as_pem(key)


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as found:
        return int(found.getsockname()[1])


async def run(
    host: str, port: int, every_s: float, faults: Faults, variables: Mapping[str, Variable]
) -> None:
    """Serve until SIGTERM or SIGINT; says where on stdout once it listens. Raises OSError."""
    serving = serve(variables, host=host, port=port, every_s=every_s, faults=faults)
    await run_until_stopped("opcua", f"opc.tcp://{host}", serving)
