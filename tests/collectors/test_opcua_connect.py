"""Time-outs around a driver that has its own way of being cancelled."""

from __future__ import annotations

import asyncio

import pytest

from collectors.protocols.opcua_connect import within


class CancelledInItsOwnWayError(asyncio.CancelledError):
    """As wait_for2, which the driver uses, when an answer comes in the moment it is cancelled."""


async def waiting() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise CancelledInItsOwnWayError from None


def test_a_time_out_that_meets_an_answer_is_a_time_out() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with within(0.001):
                await waiting()
        task = asyncio.current_task()
        assert task is not None and not task.cancelling()

    asyncio.run(main())


def test_who_is_cancelled_from_outside_is_cancelled() -> None:
    async def inner() -> None:
        async with within(60):
            await waiting()

    async def main() -> None:
        task = asyncio.create_task(inner())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
