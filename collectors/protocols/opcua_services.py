"""Calls of many nodes, in pieces that the server takes, one result for each node.

How many nodes a call may hold is asked of the server (OperationLimits); a call that is refused as too large
is made again in halves, and the smaller size is kept.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from asyncua import Client, ua
from asyncua.client.ua_session import UaSession
from asyncua.ua.uaerrors import UaStatusCodeError

from collectors.model import Tag
from collectors.protocols.opcua_nodes import NodeName, Step, parse_node, parse_path
from collectors.protocols.opcua_subscription import Subscription
from collectors.protocols.opcua_values import status_name

UNLIMITED = 500
"""Nodes in a call to a server that names no limit."""

_LIMITS = {
    "read": "MaxNodesPerRead",
    "translate": "MaxNodesPerTranslateBrowsePathsToNodeIds",
    "monitor": "MaxMonitoredItemsPerCall",
    "browse": "MaxNodesPerBrowse",
}
"""Their names in ServerCapabilities.OperationLimits, OPC 10000-5 section 6.3.11."""
_TOO_LARGE = {
    "BadTooManyOperations", "BadEncodingLimitsExceeded", "BadTcpMessageTooLarge", "BadRequestTooLarge",
    "BadResponseTooLarge",
}  # fmt: skip
_NO_DEADBAND = {
    "BadFilterNotAllowed", "BadMonitoredItemFilterUnsupported", "BadMonitoredItemFilterInvalid",
    "BadDeadbandFilterInvalid",
}  # fmt: skip
_FOUND = 0xFFFFFFFF
"""RemainingPathIndex of a path that was followed to its end."""

T = TypeVar("T")
R = TypeVar("R")


class Services:
    """The calls of one server; sizes that it refused are remembered over its sessions."""

    def __init__(self, tags: Sequence[Tag] = ()) -> None:
        self._names = [parse_node(t.text) if t.address.area == "node" else parse_path(t.text) for t in tags]
        self._sizes = dict.fromkeys(_LIMITS, UNLIMITED)
        self._refused: dict[str, int] = {}
        self._namespaces: dict[str, int] = {}

    async def begin(self, client: Client) -> None:
        """Ask a new session for the server's namespaces and limits."""
        self._session: UaSession = client.uaclient.session
        asked = ["Server_NamespaceArray"]
        asked += [f"Server_ServerCapabilities_OperationLimits_{limit}" for limit in _LIMITS.values()]
        namespaces, *limits = await self._read([ua.NodeId(getattr(ua.ObjectIds, name)) for name in asked])
        self._namespaces = {uri: i for i, uri in enumerate(_content(namespaces) or [])}
        for call, limit in zip(_LIMITS, limits, strict=True):
            size = int(_content(limit) or UNLIMITED)
            self._sizes[call] = min(size, self._refused.get(call, size))

    @property
    def namespaces(self) -> Sequence[str]:
        """The URIs of the server's namespaces, by index."""
        return list(self._namespaces)

    def node(self, text: str) -> ua.NodeId | str:
        """The node of that id, or why there is none. Raises ValueError."""
        return self._node(parse_node(text))

    async def resolve(self, indices: Sequence[int]) -> dict[int, ua.NodeId | str]:
        """The node of each tag, or the reason why there is none."""
        found: dict[int, ua.NodeId | str] = {}
        paths: list[tuple[int, ua.BrowsePath]] = []
        for i in indices:
            name = self._names[i]
            if isinstance(name, NodeName):
                found[i] = self._node(name)
            else:
                paths.append((i, _browse_path(name)))

        async def translate(part: Sequence[tuple[int, ua.BrowsePath]]) -> Sequence[ua.BrowsePathResult]:
            return list(await self._session.translate_browsepaths_to_nodeids([path for _, path in part]))

        results = await self.in_pieces("translate", paths, translate)
        found.update((i, _target(result)) for (i, _), result in zip(paths, results, strict=True))
        return found

    async def read(self, nodes: Sequence[ua.NodeId]) -> list[ua.DataValue]:
        """The value of each node."""
        return await self.in_pieces("read", nodes, self._read)

    async def monitor(
        self, subscription: Subscription, nodes: Mapping[int, ua.NodeId], deadbands: Mapping[int, float]
    ) -> dict[int, str]:
        """Subscribe to nodes; those that could not be, and why. A deadband that is refused is left out."""
        failed = await self._monitor(subscription, nodes, deadbands)
        plain = {i: nodes[i] for i, reason in failed.items() if reason in _NO_DEADBAND and i in deadbands}
        if plain:
            failed = {i: reason for i, reason in failed.items() if i not in plain}
            failed |= await self._monitor(subscription, plain, {})
        return failed

    async def _monitor(
        self, subscription: Subscription, nodes: Mapping[int, ua.NodeId], deadbands: Mapping[int, float]
    ) -> dict[int, str]:
        async def add(part: Sequence[tuple[int, ua.NodeId]]) -> Sequence[ua.StatusCode]:
            return await subscription.add(part, deadbands)

        statuses = await self.in_pieces("monitor", list(nodes.items()), add)
        return {
            i: status_name(status.value)
            for i, status in zip(nodes, statuses, strict=True)
            if not status.is_good()
        }

    async def in_pieces(
        self, call: str, items: Sequence[T], perform: Callable[[Sequence[T]], Awaitable[Sequence[R]]]
    ) -> list[R]:
        """The results of a call for all items. Raises UaStatusCodeError where not even one item is taken."""
        results: list[R] = []
        while len(results) < len(items):
            part = items[len(results) : len(results) + self._sizes[call]]
            try:
                answered = await perform(part)
            except UaStatusCodeError as error:
                if status_name(error.code) not in _TOO_LARGE or len(part) == 1:
                    raise
                self._sizes[call] = self._refused[call] = len(part) // 2
                continue
            if len(answered) != len(part):
                raise UaStatusCodeError(ua.StatusCodes.BadUnexpectedError)
            results += answered
        return results

    async def _read(self, nodes: Sequence[ua.NodeId]) -> Sequence[ua.DataValue]:
        wanted = [ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for node in nodes]
        both = ua.TimestampsToReturn.Both
        read = ua.ReadParameters(TimestampsToReturn=both, NodesToRead=wanted)
        return list(await self._session.read(read))

    def _node(self, name: NodeName) -> ua.NodeId | str:
        index = name.namespace if isinstance(name.namespace, int) else self._namespaces.get(name.namespace)
        return "NamespaceUnknown" if index is None else ua.NodeId(name.identifier, index)


def _content(value: ua.DataValue) -> Any:
    return value.Value.Value if value.Value is not None else None


def _browse_path(steps: Sequence[Step]) -> ua.BrowsePath:
    elements = [
        ua.RelativePathElement(
            ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
            IsInverse=False,
            IncludeSubtypes=True,
            TargetName=ua.QualifiedName(step.name, step.namespace),
        )
        for step in steps
    ]
    return ua.BrowsePath(ua.NodeId(ua.ObjectIds.RootFolder), ua.RelativePath(elements))


def _target(result: ua.BrowsePathResult) -> ua.NodeId | str:
    if not result.StatusCode.is_good():
        return status_name(result.StatusCode.value)
    for target in result.Targets:
        if target.RemainingPathIndex == _FOUND:
            return target.TargetId
    return "BadNoMatch"
