"""The address space of an OPC UA server, walked below a node: what there is to read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import NamedTuple

from asyncua import ua
from asyncua.client.ua_session import UaSession
from asyncua.ua.uaerrors import UaStatusCodeError

from collectors.model import LinkLostError
from collectors.protocols.opcua import Server
from collectors.protocols.opcua_connect import close, connect, told
from collectors.protocols.opcua_nodes import NodeName, spell_node
from collectors.protocols.opcua_services import Services
from collectors.protocols.opcua_values import status_name
from collectors.session import Home

_SHOWN = 4
"""Values of an array."""
_AT_ONCE = 1000
"""References in one answer; the rest is fetched with BrowseNext."""


class Found(NamedTuple):
    """One node; ``type`` (with ``[]`` for an array) and ``value`` are empty where there is none."""

    depth: int
    name: str
    node: str
    path: tuple[str, ...]
    is_variable: bool
    type: str = ""
    value: str = ""


async def browse(server: Server, home: Home, start: str, depth: int) -> AsyncIterator[Found]:
    """The nodes below `start` (a node id; empty: Objects), parents first.

    Raises LinkLostError, or ValueError where `start` is no node id.
    """
    client = await connect(server, home)
    try:
        with told(server, "browse"):
            walk = _Walk(client.uaclient.session)
            await walk.services.begin(client)
            async for found in walk.below(walk.start(start), (), depth):
                yield found
    finally:
        await close(client)


class _Walk:
    """One pass; a node that can be reached in several ways is shown where it is met first."""

    def __init__(self, session: UaSession) -> None:
        self.services = Services()
        self._session = session
        self._seen: set[ua.NodeId] = set()

    def start(self, text: str) -> ua.NodeId:
        if not text:
            return ua.NodeId(ua.ObjectIds.ObjectsFolder)
        node = self.services.node(text)
        if isinstance(node, str):
            raise LinkLostError(node, f"cannot browse {text}: the server does not know this namespace")
        return node

    async def below(self, parent: ua.NodeId, path: tuple[str, ...], depth: int) -> AsyncIterator[Found]:
        references = await self._references(parent)
        new = [r for r in references if r.NodeId not in self._seen]
        self._seen.update(r.NodeId for r in new)
        variables = [r for r in new if r.NodeClass == ua.NodeClass.Variable]
        values = await self.services.read([r.NodeId for r in variables])
        held = dict(zip((r.NodeId for r in variables), values, strict=True))
        for reference in new:
            found = self._found(reference, path, held.get(reference.NodeId))
            yield found
            if depth > 1 and not found.is_variable:
                async for deeper in self.below(reference.NodeId, found.path, depth - 1):
                    yield deeper

    async def _references(self, parent: ua.NodeId) -> Sequence[ua.ReferenceDescription]:
        wanted = ua.BrowseDescription(
            NodeId=parent,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
            IncludeSubtypes=True,
            NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable,
            ResultMask=ua.BrowseResultMask.All,
        )
        request = ua.BrowseParameters(NodesToBrowse=[wanted], RequestedMaxReferencesPerNode=_AT_ONCE)
        (result,) = await self._session.browse(request)
        if not result.StatusCode.is_good():
            raise UaStatusCodeError(result.StatusCode.value)
        references = list(result.References)
        while result.ContinuationPoint:
            more = ua.BrowseNextParameters(
                ReleaseContinuationPoints=False, ContinuationPoints=[result.ContinuationPoint]
            )
            (result,) = await self._session.browse_next(more)
            references += result.References
        return references

    def _found(
        self, reference: ua.ReferenceDescription, path: tuple[str, ...], value: ua.DataValue | None
    ) -> Found:
        name = reference.BrowseName.Name or ""
        here = Found(len(path), name, self._spell(reference.NodeId), (*path, name), value is not None)
        if value is None:
            return here
        status = value.StatusCode
        if status is not None and not status.is_good():
            return here._replace(value=status_name(status.value))
        held = value.Value
        if held is None or held.Value is None:
            return here
        suffix = "[]" if isinstance(held.Value, list) else ""
        return here._replace(type=held.VariantType.name + suffix, value=_shown(held))

    def _spell(self, node: ua.NodeId) -> str:
        index = node.NamespaceIndex
        uris = self.services.namespaces
        return spell_node(NodeName(uris[index] if 0 < index < len(uris) else index, node.Identifier))


def _shown(held: ua.Variant) -> str:
    """In short; a Float has seven digits."""
    value = held.Value
    if isinstance(value, list):
        some = ", ".join(_shown(ua.Variant(one, held.VariantType)) for one in value[:_SHOWN])
        return f"[{some}{', …' if len(value) > _SHOWN else ''}]"
    if isinstance(value, float):
        return f"{value:.7g}" if held.VariantType is ua.VariantType.Float else f"{value:.12g}"
    if isinstance(value, datetime):
        return value.isoformat()
    text = value.Text or "" if isinstance(value, ua.LocalizedText) else str(value)
    return text if len(text) <= 60 else text[:59] + "…"
