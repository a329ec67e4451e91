"""A simulated OPC UA server: live values of many types, and faults that may change meanwhile."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Server, ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from collectors.simulate.opcua_plant import BAD_SENSOR, Variable, now, plant

NAMESPACE = "urn:daq:simulator"
APPLICATION = "urn:daq:simulator:server"
EVERY_S = 0.5


@dataclass
class Faults:
    """What is wrong with the server; may be changed at any time.

    ``bad``, ``retyped``: nodes (by path) that are bad, or Double whatever they were. ``max_nodes``: calls
    with more nodes are refused (0: none is). Without ``deadbands`` items that want one are refused, as by S7-1200.
    """

    bad: set[str] = field(default_factory=set)
    retyped: set[str] = field(default_factory=set)
    max_nodes: int = 0
    deadbands: bool = True


@dataclass(frozen=True)
class Access:
    """``policies``: the endpoints; none means every one.

    With ``trusted``, only clients whose certificate lies there may come; with a ``user``, only that one.
    """

    policies: tuple[str, ...] = ()
    trusted: Path | None = None
    user: str | None = None
    password: str | None = None


class Plant:
    """A running server; ``port`` is where it listens."""

    def __init__(self, server: Server, variables: Mapping[str, Variable], faults: Faults, port: int) -> None:
        self.server = server
        self.variables = variables
        self.faults = faults
        self.port = port
        self.namespace = 0
        self._top: Any = None
        self._retyped: set[str] = set()
        self._folders: dict[str, Any] = {}

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
    faults: Faults | None = None,
    access: Access = Access(),
    shift: int = 0,
) -> AsyncIterator[Plant]:
    """A server with every security policy while the context lasts, its namespace after `shift` others.

    Raises OSError where the port is not to be had.
    """
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    faults = faults or Faults()
    port = port or _free_port(host)
    server = Server(_Limited(faults, access))
    await server.init()
    await server.set_application_uri(APPLICATION)
    server.set_endpoint(f"opc.tcp://{host}:{port}/")
    server.set_server_name("daq simulated plant")
    certificate, key = _certificate()
    await server.load_certificate(certificate, "der")
    await server.load_private_key(key, format="pem")
    if access.policies:
        server.set_security_policy([ua.SecurityPolicyType[policy] for policy in access.policies])
    if access.trusted:
        server.set_certificate_validator(_validator(access.trusted))
    if access.user:
        server.set_identity_tokens([ua.UserNameIdentityToken])
    for n in range(shift):
        await server.register_namespace(f"urn:daq:other:{n}")
    served = Plant(server, plant() if variables is None else variables, faults, port)
    served.namespace = await server.register_namespace(NAMESPACE)
    await served.add_nodes(served.variables)
    await served.move()
    async with server:
        living = asyncio.create_task(served.live(every_s))
        try:
            yield served
        finally:
            living.cancel()
            await asyncio.gather(living, return_exceptions=True)


_ANONYMOUS = User(role=UserRole.Anonymous)
_NO_FILTER = ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported)


class _Session(InternalSession):  # type: ignore[misc]
    """A session that refuses calls of too many nodes, and says so as servers do."""

    def check(self, nodes: Sequence[object]) -> None:
        limit = self.iserver.faults.max_nodes
        if self.external and limit and len(nodes) > limit:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)

    async def read(self, params: ua.ReadParameters) -> list[ua.DataValue]:
        self.check(params.NodesToRead)
        return list(await super().read(params))

    async def create_monitored_items(
        self, params: ua.CreateMonitoredItemsParameters
    ) -> list[ua.MonitoredItemCreateResult]:
        self.check(params.ItemsToCreate)
        results = list(await super().create_monitored_items(params))
        refused = [i for i, item in enumerate(params.ItemsToCreate) if item.RequestedParameters.Filter]
        if self.external and refused and not self.iserver.faults.deadbands:
            items = [results[i].MonitoredItemId for i in refused]
            await self.delete_monitored_items(
                ua.DeleteMonitoredItemsParameters(SubscriptionId=params.SubscriptionId, MonitoredItemIds=items)
            )
            for i in refused:
                results[i] = ua.MonitoredItemCreateResult(StatusCode=_NO_FILTER)
        return results

    async def translate_browsepaths_to_nodeids(
        self, params: list[ua.BrowsePath]
    ) -> list[ua.BrowsePathResult]:
        self.check(params)
        return list(await super().translate_browsepaths_to_nodeids(params))


class _Limited(InternalServer):  # type: ignore[misc]
    """A server whose sessions have limits and whose user, if it has one, needs a password."""

    def __init__(self, faults: Faults, access: Access) -> None:
        super().__init__(user_manager=self)
        self.faults = faults
        self._access = access

    def create_session(self, name: str, user: User = _ANONYMOUS, external: bool = False) -> _Session:
        return _Session(self, self.aspace, self.subscription_service, name, user=user, external=external)

    def get_user(
        self,
        _server: object,
        username: str | None = None,
        password: str | None = None,
        certificate: object = None,
    ) -> User | None:
        wanted = self._access
        if wanted.user and (username, password) != (wanted.user, wanted.password):
            return None
        return User(role=UserRole.User)


def _validator(trusted: Path) -> Any:
    async def validate(certificate: x509.Certificate, _application: object) -> None:
        der = certificate.public_bytes(Encoding.DER)
        known = await asyncio.to_thread(lambda: [path.read_bytes() for path in trusted.glob("*.der")])
        if der not in known:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    return validate


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
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serve(variables, host=host, port=port, every_s=every_s, faults=faults) as served:
        sys.stdout.write(f"opcua simulator on opc.tcp://{host}:{served.port}\n")
        sys.stdout.flush()
        await stopped.wait()
