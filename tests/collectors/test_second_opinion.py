"""A driver that is not ours reads the same words from the same devices."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from collectors.second_opinion import NoOpinionError, second_opinion
from collectors.simulate.melsec import serve
from tests.collectors.test_melsec_link import plc


def melsec(port: int, address: str, **device: Any) -> dict[str, Any]:
    tag = {"name": "t", "address": address, "count": 2, **({} if address[0] in "XM" else {"type": "uint16"})}
    keys = {"host": "127.0.0.1", "port": port, "timeout": "1s", "frame": "3E", "series": "QnU", **device}
    return {"type": "melsec", "devices": [keys], "tags": [tag]}


def read(address: str, **device: Any) -> list[int]:
    async def main() -> list[int]:
        async with serve(plc("Q"), frame=device.get("frame", "3E"), code="binary") as simulated:
            opinion = second_opinion(melsec(simulated.port, address, **device))
            assert opinion
            assert opinion[0].startswith("pymcprotocol ")
            return list(await asyncio.to_thread(opinion[1]))

    return asyncio.run(main())


@pytest.mark.parametrize("frame", ["3E", "4E"])
def test_pymcprotocol_is_asked_where_it_can_answer(frame: str) -> None:
    assert read("D5", frame=frame)[0] == 15


def test_what_it_cannot_read_is_told_in_its_own_words() -> None:
    opinion = second_opinion(melsec(1, "D5"))
    assert opinion
    with pytest.raises(NoOpinionError):
        opinion[1]()


@pytest.mark.parametrize("device", [{"frame": "1E", "series": "FX3U"}, {"code": "ascii"}])
def test_where_it_is_known_to_be_wrong_it_is_not_asked(device: dict[str, Any]) -> None:
    assert second_opinion(melsec(1, "D5", **device)) is None
