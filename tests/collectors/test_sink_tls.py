"""`tls` of a sink, against a server whose certificate an authority of the plant has signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import SpecFile, StateDir
from collectors.sinks import SinkError, open_sink
from tests.certificates import authority_and_server
from tests.scripted import Scripted, scripted

LINE = b"m,collector=c a=1i 1"
APIS = pytest.mark.parametrize("where", [{"database": "d"}, {"bucket": "b", "org": "o"}], ids=["v1", "v2"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Scripted]:
    _, certificate, key = authority_and_server(tmp_path)
    with scripted(tls=(certificate, key)) as server:
        yield server


def write(server: Scripted, folder: Path, state: StateDir, **spec: Any) -> None:
    """Write one line; `folder` is where the manifest lies."""
    full = {"type": "influxdb", "url": server.url, **spec}
    open_sink(SpecFile("Sink", "plant", "d1", full, directory=str(folder)), state).write(LINE)


@APIS
def test_a_server_is_trusted_through_the_named_authority(
    server: Scripted, tmp_path: Path, state: StateDir, where: dict[str, str]
) -> None:
    write(server, tmp_path, state, tls={"ca": "ca.pem"}, **where)
    assert server.stored == {LINE.decode()}


@APIS
@pytest.mark.parametrize("tls", [{}, {"verify": True}])
def test_an_unknown_authority_is_refused_and_said(
    server: Scripted, tmp_path: Path, state: StateDir, where: dict[str, str], tls: dict[str, Any]
) -> None:
    with pytest.raises(SinkError, match=r"(?i)certificate verify failed") as refused:
        write(server, tmp_path, state, tls=tls, **where)
    assert (refused.value.answer, refused.value.reason) == ("retry", "Unreachable")
    assert server.stored == set()


@APIS
def test_a_certificate_is_taken_unseen_only_where_the_manifest_says_so(
    server: Scripted, tmp_path: Path, state: StateDir, where: dict[str, str]
) -> None:
    write(server, tmp_path, state, tls={"verify": False}, **where)
    assert server.stored == {LINE.decode()}
