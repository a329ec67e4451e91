"""One OPC UA server as a source of samples: nodes resolved, read and subscribed, node by node.

No node is lost in silence: one that cannot be resolved, read or monitored is refused with the name of its
status, the others go on. A subscription that misses its keep-alives, is ended by the server or leaves out a
number ends in a full read, most of them in a new session.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from asyncua import ua

from collectors.model import Bad
from collectors.protocols.opcua import Server
from collectors.protocols.opcua_connect import Session, close, connect, told
from collectors.protocols.opcua_services import Services
from collectors.protocols.opcua_subscription import Subscription
from collectors.protocols.opcua_values import Reader, is_overflow
from collectors.session import Home, Refusal, Sample

REFUSED = {
    "BadNodeIdUnknown", "BadNodeIdInvalid", "BadAttributeIdInvalid", "BadNotReadable", "BadUserAccessDenied",
    "BadNodeNotInView", "BadNoMatch", "BadNotSupported", "BadNotImplemented",
}  # fmt: skip
"""Statuses that say something of the node, not of its value: it is left alone for a while."""

log = logging.getLogger("collectors.protocols.opcua")


class ServerSource:
    """See :class:`collectors.session.Source`."""

    def __init__(self, server: Server, home: Home) -> None:
        self._server = server
        self._home = home
        self._readers = [Reader(i, tag) for i, tag in enumerate(server.tags)]
        self._services = Services(server.tags)
        self._client: Session | None = None
        self._subscription: Subscription | None = None
        self._nodes: dict[int, ua.NodeId] = {}
        self._pace = (0.0, 0.0, 0)
        self._warned = False
        self.refused: dict[int, Refusal] = {}
        self.lost = 0

    @property
    def sends(self) -> bool:
        """Whether the server sends by itself."""
        return self._server.subscribe

    async def open(self) -> Sequence[Sample]:
        """Connect, resolve, read and subscribe."""
        self._client = await connect(self._server, self._home)
        if self._client.shows_password and not self._warned:
            self._warned = True
            log.warning("%s: the password went over the network as it is, for the server offers no way to hide "
                        "it there; write security: {policy: …, mode: SignAndEncrypt}", self._server.name)  # fmt: skip
        with told(self._server, "begin with"):
            await self._services.begin(self._client)
            if self._server.subscribe:
                self._subscription = await Subscription.create(self._client.uaclient.session, self._server)
            return await self._take_up(range(len(self._readers)))

    async def receive(self) -> Sequence[Sample]:
        """What the server sent; after a gap, everything."""
        assert self._subscription
        with told(self._server, "follow"):
            changes = await self._subscription.receive()
            now_ns = time.time_ns()
            samples = [self._sample(index, value, now_ns) for index, value in changes]
        if self._subscription.took_gap():
            log.warning("%s: notifications are missing; everything is read again", self._server.name)
            samples += await self.read()
        return samples

    async def read(self) -> Sequence[Sample]:
        """The values of all nodes that are not refused."""
        with told(self._server):
            return await self._read([i for i in self._nodes if i not in self.refused])

    async def retry(self) -> Sequence[Sample]:
        """Resolve, read and subscribe what is refused."""
        with told(self._server):
            return await self._take_up(list(self.refused))

    async def close(self) -> None:
        """End the session."""
        client, self._client, self._subscription = self._client, None, None
        if client:
            await close(client)

    async def _take_up(self, indices: Iterable[int]) -> list[Sample]:
        indices = list(indices)
        found = await self._services.resolve(indices)
        nodes = {i: node for i, node in found.items() if isinstance(node, ua.NodeId)}
        self._nodes = {**self._nodes, **nodes}
        samples = [self._refuse(i, reason) for i, reason in found.items() if isinstance(reason, str)]
        samples += await self._read(list(nodes))
        if self._subscription:
            wanted = [i for i in nodes if i not in self.refused]
            samples += await self._subscribe(self._subscription, wanted)
        return samples

    async def _read(self, indices: Sequence[int]) -> list[Sample]:
        values = await self._services.read([self._nodes[i] for i in indices])
        now_ns = time.time_ns()
        return [self._sample(i, value, now_ns) for i, value in zip(indices, values, strict=True)]

    async def _subscribe(self, subscription: Subscription, indices: Sequence[int]) -> list[Sample]:
        deadbands = {
            i: tag.deadband * tag.denominator / abs(tag.scale)
            for i in indices
            if (tag := self._server.tags[i]).deadband and self._readers[i].is_number
        }
        wanted = {i: self._nodes[i] for i in indices}
        failed = await self._services.monitor(subscription, wanted, deadbands)
        self._tell_pace(subscription)
        return [self._refuse(i, reason) for i, reason in failed.items()]

    def _tell_pace(self, granted: Subscription) -> None:
        asked = self._server
        slower = granted.publishing_s > asked.publishing_s or granted.sampling_s > asked.sampling_s
        pace = granted.publishing_s, granted.sampling_s, granted.queue
        if (slower or granted.queue < asked.queue) and pace != self._pace:
            self._pace = pace
            log.warning("%s grants less than asked: sends every %g s, samples every %g s, keeps %d values",
                        asked.name, *pace)  # fmt: skip

    def _sample(self, index: int, value: ua.DataValue, now_ns: int) -> Sample:
        sample = self._readers[index].sample(value, now_ns)
        if is_overflow(value):
            self.lost += 1
        if isinstance(sample.value, Bad) and sample.value.reason in REFUSED:
            return self._refuse(index, sample.value.reason)
        if self.refused:
            self.refused.pop(index, None)
        return sample

    def _refuse(self, index: int, reason: str) -> Sample:
        before = self.refused.get(index)
        if before is None or before.reason != reason:
            self.refused[index] = Refusal(reason, time.time())
        return Sample(index, Bad(reason), time.time_ns())
