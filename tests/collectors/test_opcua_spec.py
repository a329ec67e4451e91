"""How an OPC UA manifest is read: node names, and errors that say what would be right."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.contract import check_spec
from collectors.protocols.opcua import Server
from collectors.protocols.opcua_nodes import NodeName, parse_node, parse_path, spell_node
from collectors.spec import parse

URL = "opc.tcp://127.0.0.1:4840"
TAG = {"name": "x", "node": "nsu=urn:plant;s=Temp"}


def spec(*tags: dict[str, Any], **device: Any) -> dict[str, Any]:
    return {"type": "opcua", "devices": [{"url": URL, **device}], "tags": list(tags) or [TAG]}


def server(**device: Any) -> Server:
    (found,) = parse("plant", spec(**device)).devices
    assert isinstance(found, Server)
    return found


def problems(written: dict[str, Any]) -> list[str]:
    found = check_spec("Collector", "plant", written)
    return [f"{'.'.join(map(str, p.path))}: {p.message}" for p in found]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("i=2258", NodeName(0, 2258)),
        ("ns=2;i=5", NodeName(2, 5)),
        ("ns=2;s=a;b=c", NodeName(2, "a;b=c")),
        ("nsu=urn:plant;s=Temp 1", NodeName("urn:plant", "Temp 1")),
        ("nsu=http://x.org/a;b/;i=7", NodeName("http://x.org/a;b/", 7)),
        ("nsu=urn:a%3Bs=1;s=b", NodeName("urn:a;s=1", "b")),
        (
            "ns=1;g=09087e75-8e5e-499b-954f-f2a9603db28a",
            NodeName(1, UUID("09087e75-8e5e-499b-954f-f2a9603db28a")),
        ),
        ("ns=1;b=M/RbKBsRVkePCePcx24oRA==", NodeName(1, b"3\xf4[(\x1b\x11VG\x8f\t\xe3\xdc\xc7n(D")),
    ],
)
def test_a_node_id_is_read_as_the_standard_writes_it(text: str, name: NodeName) -> None:
    assert parse_node(text) == name


NAMESPACES = st.integers(0, 65535) | st.text(min_size=1)
IDENTIFIERS = st.integers(0, 2**32 - 1) | st.text(min_size=1) | st.uuids() | st.binary(min_size=1)


@given(NAMESPACES, IDENTIFIERS)
def test_a_node_id_that_is_spelled_out_reads_as_itself(namespace: str | int, name: Any) -> None:
    assert parse_node(spell_node(NodeName(namespace, name))) == NodeName(namespace, name)


def test_a_browse_path_is_read_from_the_root_with_its_escapes() -> None:
    assert parse_path("/Objects/2:Plant/3:Temp") == ((0, "Objects"), (2, "Plant"), (3, "Temp"))
    assert parse_path("/Objects/2:a&/b&:c&&") == ((0, "Objects"), (2, "a/b:c&"))


@given(st.lists(st.tuples(st.integers(0, 65535), st.text("ab:/&", min_size=1)), min_size=1))
def test_every_browse_name_can_be_written_in_a_path(steps: list[tuple[int, str]]) -> None:
    def escaped(name: str) -> str:
        return "".join(f"&{c}" if c in "/&:" else c for c in name)

    assert parse_path("".join(f"/{index}:{escaped(name)}" for index, name in steps)) == tuple(steps)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({"node": "Temp"}, "tags.0.node: 'Temp' is no node id; write for example nsu=urn:plant;s=Temp"),
        ({"node": "ns=2;i=five"}, "after i= comes a number up to 4294967295; for text write s="),
        ({"node": "ns=70000;i=5"}, "a namespace index ends at 65535"),
        ({"node": "g=1234"}, "write a GUID such as"),
        (
            {"path": "Objects/2:Temp"},
            "tags.0.path: 'Objects/2:Temp' is no browse path; write it from the root",
        ),
        ({"path": "/Objects//2:Temp"}, "is no browse path"),
        ({**TAG, "deadband": 1, "type": "string"}, "tags.0.deadband: deadband has no meaning for string"),
        ({**TAG, "scale": 0.1, "type": "bool"}, "tags.0.scale: scale has no meaning for bool"),
        ({**TAG, "name": "time"}, "tags.0.name: InfluxDB keeps the name time for itself"),
    ],
)
def test_a_wrong_tag_is_told_with_what_would_be_right(written: dict[str, Any], said: str) -> None:
    (problem,) = problems(spec({"name": "x", **written}))
    assert said in problem


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ({"url": "opc.tcp://"}, "is no endpoint; write for example opc.tcp://192.168.1.10:4840"),
        ({"url": "opc.tcp://me:secret@plc"}, "a password never stands in a url"),
        ({"url": "opc.tcp://plc:port"}, "its port is no number"),
        ({"security": {"policy": "None", "mode": "Sign"}}, "policy None does not go with mode Sign"),
        (
            {"security": {"policy": "Basic256Sha256", "mode": "Sign", "certificate": "a.der"}},
            "certificate and privateKey belong together",
        ),
        ({"sampling": "10ms"}, "a queue of 10 cannot hold the 50 values sampled between two sendings"),
        ({"publishing": "0s"}, "publishing must be longer than 0"),
    ],
)
def test_a_wrong_server_is_told_with_what_would_be_right(device: dict[str, Any], said: str) -> None:
    (problem,) = problems(spec(**device))
    assert problem.startswith("devices.0: ")
    assert said in problem


def test_a_server_without_a_url_is_told() -> None:
    written = {"type": "opcua", "devices": [{"name": "a"}], "tags": [TAG]}
    assert problems(written) == ["devices.0: a url is required, here or in deviceDefaults"]


def test_two_tags_of_one_name_are_told() -> None:
    assert problems(spec(TAG, TAG)) == ["tags.1.name: there is already a field x, of tag x"]


def test_defaults_are_the_contracts() -> None:
    found = server()
    assert (found.timeout_s, found.subscribe, found.publishing_s, found.sampling_s, found.queue) == (
        4.0, True, 0.5, 0.5, 10,
    )  # fmt: skip
    assert (found.security.policy, found.security.mode, found.user) == ("None", "None", None)
    assert server(url="opc.tcp://plc/path").url == "opc.tcp://plc:4840/path"
    assert server(publishing="1s").sampling_s == 1.0
    assert not server(mode="poll").subscribe
