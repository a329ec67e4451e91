"""Whom a simulated OPC UA server lets in, and which calls it refuses them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_server import InternalServer
from asyncua.server.internal_session import InternalSession
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from collectors.simulate.opcua_faults import Faults
from collectors.simulate.server import Listener


@dataclass(frozen=True)
class Access:
    """``policies``: the endpoints; none means every one.

    With ``trusted``, only clients whose certificate lies there may come; with a ``user``, only that one.
    """

    policies: tuple[str, ...] = ()
    trusted: Path | None = None
    user: str | None = None
    password: str | None = None


_ANONYMOUS = User(role=UserRole.Anonymous)
_NO_FILTER = ua.StatusCode(ua.StatusCodes.BadMonitoredItemFilterUnsupported)


class _Session(InternalSession):  # type: ignore[misc]
    """A session that refuses calls of too many nodes, and says so as servers do."""

    def check(self, nodes: Sequence[object]) -> None:
        limit = self.iserver.front.faults.max_nodes
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
        if self.external and refused and not self.iserver.front.faults.deadbands:
            items = [results[i].MonitoredItemId for i in refused]
            await self.delete_monitored_items(
                ua.DeleteMonitoredItemsParameters(
                    SubscriptionId=params.SubscriptionId, MonitoredItemIds=items
                )
            )
            for i in refused:
                results[i] = ua.MonitoredItemCreateResult(StatusCode=_NO_FILTER)
        return results

    async def translate_browsepaths_to_nodeids(
        self, params: list[ua.BrowsePath]
    ) -> list[ua.BrowsePathResult]:
        self.check(params)
        return list(await super().translate_browsepaths_to_nodeids(params))


class Sessions(InternalServer):  # type: ignore[misc]
    """A server whose sessions have limits and whose user, if it has one, needs a password."""

    def __init__(self, front: Listener[Faults], access: Access) -> None:
        super().__init__(user_manager=self)
        self.front = front
        self._access = access

    def create_session(self, name: str, user: User = _ANONYMOUS, external: bool = False) -> _Session:
        """Called by the server for each client, and once for itself."""
        return _Session(self, self.aspace, self.subscription_service, name, user=user, external=external)

    def get_user(
        self,
        _server: object,
        username: str | None = None,
        password: str | None = None,
        certificate: object = None,
    ) -> User | None:
        """Who may come in; None for one who may not."""
        wanted = self._access
        if wanted.user and (username, password) != (wanted.user, wanted.password):
            return None
        return User(role=UserRole.User)


def validator(trusted: Path) -> Any:
    """What asks whether a client's certificate lies in a directory."""

    async def validate(certificate: x509.Certificate, _application: object) -> None:
        der = certificate.public_bytes(Encoding.DER)
        known = await asyncio.to_thread(lambda: [path.read_bytes() for path in trusted.glob("*.der")])
        if der not in known:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    return validate
