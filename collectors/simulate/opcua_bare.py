"""An OPC UA server with two nodes: the sessions and subscriptions of a whole one, but up in a millisecond.

:mod:`collectors.simulate.opcua` has the standard address space, which takes a second and 50 MB to load.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asyncua import ua
from asyncua.common.connection import TransportLimits
from asyncua.crypto.security_policies import SecurityPolicyFactory, SecurityPolicyNone
from asyncua.server.address_space import AttributeValue, NodeData
from asyncua.server.binary_server_asyncio import BinaryServer
from asyncua.server.internal_server import InternalServer

NAMESPACE = "urn:daq:bare"
NODE = ua.NodeId("Value", 1)


@asynccontextmanager
async def serve() -> AsyncIterator[int]:
    """One that listens on a port of loopback, which is yielded, while the context lasts. Raises OSError."""
    space = InternalServer()
    space.aspace[_NAMESPACES.nodeid] = _NAMESPACES
    space.aspace[NODE] = _variable(NODE, 1.5)
    space.add_endpoint(_ENDPOINT)
    server = BinaryServer(space, "127.0.0.1", 0, TransportLimits())
    server.set_policies([SecurityPolicyFactory(SecurityPolicyNone, ua.MessageSecurityMode.None_)])
    await server.start()
    try:
        yield server._server.sockets[0].getsockname()[1]  # it tells no other way
    finally:
        await server.stop()


def _variable(node: ua.NodeId, value: Any) -> NodeData:
    data = NodeData(node)
    for attribute, held in (
        (ua.AttributeIds.NodeClass, ua.NodeClass.Variable),
        (ua.AttributeIds.UserAccessLevel, 1),
        (ua.AttributeIds.Value, value),
    ):
        data.attributes[attribute] = AttributeValue(ua.DataValue(ua.Variant(held)))
    return data


_NAMESPACES = _variable(
    ua.NodeId(ua.ObjectIds.Server_NamespaceArray), ["http://opcfoundation.org/UA/", NAMESPACE]
)
_ENDPOINT = ua.EndpointDescription(
    EndpointUrl="opc.tcp://127.0.0.1:0",
    SecurityMode=ua.MessageSecurityMode.None_,
    SecurityPolicyUri=SecurityPolicyNone.URI,
    UserIdentityTokens=[ua.UserTokenPolicy(PolicyId="anonymous", TokenType=ua.UserTokenType.Anonymous)],
)
