"""One subscription: what the server sends, as it comes, and whether it still does.

The driver's publish loop hands every message over here, in order and without a task for each value. A
message without values is a keep-alive; the others are numbered without gaps (OPC 10000-4 section 5.14.1).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence

from asyncua import ua
from asyncua.client.ua_session import UaSession

from collectors.model import LinkLostError
from collectors.protocols.opcua import Server
from collectors.protocols.opcua_values import status_name

KEEP_ALIVE_S = 1.0
LIFETIME_S = 60.0
"""How long the server keeps it without a sign of ours; at least three keep-alives."""
AT_ONCE = 2000
"""Values in one message; more follow in the next."""

Change = tuple[int, ua.DataValue]


class Subscription:
    """Values by the client handle of their item, which is the index of the tag.

    The server may have another pace in mind than was asked for: ``publishing_s``, and of all items the
    slowest ``sampling_s`` and the shortest ``queue``, are what it granted.
    """

    @classmethod
    async def create(cls, session: UaSession, server: Server) -> Subscription:
        """A subscription without items. Raises what the driver does."""
        subscription = cls(session, server)
        interval_ms = server.publishing_s * 1000
        keep_alives = max(1, math.ceil(KEEP_ALIVE_S / server.publishing_s))
        revised = await session.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=interval_ms,
                RequestedLifetimeCount=max(3 * keep_alives, math.ceil(LIFETIME_S / server.publishing_s)),
                RequestedMaxKeepAliveCount=keep_alives,
                MaxNotificationsPerPublish=AT_ONCE,
                PublishingEnabled=True,
            ),
            subscription._published,
        )
        subscription._id = revised.SubscriptionId
        subscription.publishing_s = revised.RevisedPublishingInterval / 1000
        keep_alive_s = subscription.publishing_s * revised.RevisedMaxKeepAliveCount
        subscription._silence_s = keep_alive_s * 1.5 + server.timeout_s
        return subscription

    def __init__(self, session: UaSession, server: Server) -> None:
        self._session = session
        self._server = server
        self.publishing_s = server.publishing_s
        self.sampling_s = 0.0
        self.queue = server.queue
        self._id = 0
        self._silence_s = server.timeout_s
        self._items: dict[int, int] = {}
        self._changes: list[Change] = []
        self._heard = asyncio.Event()
        self._fault: Exception | None = None
        self._sequence: int | None = None
        self._gap = False

    async def add(
        self, nodes: Sequence[tuple[int, ua.NodeId]], deadbands: Mapping[int, float]
    ) -> list[ua.StatusCode]:
        """Monitor nodes by index, in place of older items of theirs; one status each."""
        older = [self._items.pop(i) for i, _ in nodes if i in self._items]
        if older:
            await self._session.delete_monitored_items(
                ua.DeleteMonitoredItemsParameters(SubscriptionId=self._id, MonitoredItemIds=older)
            )
        results = await self._session.create_monitored_items(
            ua.CreateMonitoredItemsParameters(
                SubscriptionId=self._id,
                TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToCreate=[self._item(i, node, deadbands.get(i)) for i, node in nodes],
            )
        )
        for (i, _), result in zip(nodes, results, strict=True):
            if result.StatusCode.is_good():
                self._items[i] = result.MonitoredItemId
                self.sampling_s = max(self.sampling_s, result.RevisedSamplingInterval / 1000)
                self.queue = min(self.queue, result.RevisedQueueSize)
        return [result.StatusCode for result in results]

    async def receive(self) -> list[Change]:
        """What came since, or the next that comes; empty for a keep-alive. Raises LinkLostError."""
        try:
            async with asyncio.timeout(self._silence_s):
                await self._heard.wait()
        except TimeoutError:
            raise LinkLostError(
                "KeepAliveMissing",
                f"cannot follow {self._server.url}: no keep-alive within {self._silence_s:g} s",
            ) from None
        self._heard.clear()
        changes, self._changes = self._changes, []
        if self._fault and not changes:
            raise self._fault
        return changes

    def took_gap(self) -> bool:
        """Whether messages were missing since this was last asked."""
        gap, self._gap = self._gap, False
        return gap

    def _item(self, index: int, node: ua.NodeId, deadband: float | None) -> ua.MonitoredItemCreateRequest:
        wanted = ua.MonitoringParameters(
            ClientHandle=index,
            SamplingInterval=self._server.sampling_s * 1000,
            QueueSize=self._server.queue,
            DiscardOldest=True,
        )
        if deadband:
            wanted.Filter = ua.DataChangeFilter(
                Trigger=ua.DataChangeTrigger.StatusValue,
                DeadbandType=ua.DeadbandType.Absolute,
                DeadbandValue=deadband,
            )
        return ua.MonitoredItemCreateRequest(
            ItemToMonitor=ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value),
            MonitoringMode=ua.MonitoringMode.Reporting,
            RequestedParameters=wanted,
        )

    def _published(self, result: ua.PublishResult) -> None:
        """Called by the driver with every message; what goes wrong here is raised where it is received."""
        message = result.NotificationMessage
        try:
            self._count(message.SequenceNumber, is_keep_alive=not message.NotificationData)
            for data in message.NotificationData or ():
                if isinstance(data, ua.DataChangeNotification):
                    self._changes += [(item.ClientHandle, item.Value) for item in data.MonitoredItems]
                elif isinstance(data, ua.StatusChangeNotification):
                    self._fault = self._ended(status_name(data.Status.value), message.SequenceNumber)
        except (AttributeError, TypeError) as error:  # the driver would only log it
            self._fault = error
        self._heard.set()

    def _ended(self, status: str, number: int) -> LinkLostError:
        if not number:  # the driver says so, not the server
            return LinkLostError(
                "ConnectionLost", f"cannot follow {self._server.url}: the connection is lost"
            )
        why = f"the server ended the subscription: {status}"
        return LinkLostError(status, f"cannot follow {self._server.url}: {why}")

    def _count(self, number: int, *, is_keep_alive: bool) -> None:
        """A keep-alive bears the number that the next message will have; of some servers, that of the last."""
        if not number or (is_keep_alive and number == self._sequence):
            return
        if self._sequence is not None and number != self._sequence % 0xFFFFFFFF + 1:
            self._gap = True
        self._sequence = number - 1 if is_keep_alive else number
