"""How manifests name an OPC UA node: node ids and browse paths as text. Pure.

Node ids follow OPC 10000-6 section 5.3.1.10, browse paths OPC 10000-4 annex A.2, from the root, with ``/``
only.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple
from uuid import UUID

_NODE = re.compile(r"(?:ns=(\d{1,5});|nsu=(.+?);(?=[isgb]=))?([isgb])=(.+)", re.DOTALL)
_STEP = re.compile(r"/(?:(\d{1,5}):)?((?:&.|[^&/])+)", re.DOTALL)
_PATH = re.compile(f"(?:{_STEP.pattern})+", re.DOTALL)
_EXAMPLES = "write for example nsu=urn:plant;s=Temp, ns=2;i=5 or, of the server itself, i=2258"


class NodeName(NamedTuple):
    """A node id; the namespace as its URI (the same after every restart of the server) or its index."""

    namespace: str | int
    identifier: int | str | UUID | bytes


class Step(NamedTuple):
    """One browse name on the way from the root."""

    namespace: int
    name: str


def parse_node(text: str) -> NodeName:
    """A node id. Raises ValueError that says what would be right."""
    match = _NODE.fullmatch(text)
    if not match:
        raise ValueError(f"{text!r} is no node id; {_EXAMPLES}")
    index, uri, kind, written = match.groups()
    if index and int(index) > 0xFFFF:
        raise ValueError(f"{text!r}: a namespace index ends at 65535; {_EXAMPLES}")
    namespace = uri.replace("%3B", ";").replace("%25", "%") if uri else int(index or 0)
    return NodeName(namespace, _identifier(text, kind, written))


def _identifier(text: str, kind: str, written: str) -> int | str | UUID | bytes:
    if kind == "s":
        return written
    try:
        if kind == "g":
            return UUID(written)
        if kind == "b":
            return base64.b64decode(written, validate=True)
    except (ValueError, binascii.Error):
        wanted = "a GUID such as g=09087e75-8e5e-499b-954f-f2a9603db28a" if kind == "g" else "base64 after b="
        raise ValueError(f"{text!r} is no node id; write {wanted}") from None
    if not written.isdecimal() or not written.isascii() or int(written) > 0xFFFFFFFF:
        raise ValueError(
            f"{text!r} is no node id: after i= comes a number up to 4294967295; for text write s="
        )
    return int(written)


def spell_node(node: NodeName) -> str:
    """The text of a node id, as :func:`parse_node` reads it."""
    name = node.identifier
    if isinstance(name, int):
        written = f"i={name}"
    elif isinstance(name, str):
        written = f"s={name}"
    elif isinstance(name, UUID):
        written = f"g={name}"
    else:
        written = f"b={base64.b64encode(name).decode()}"
    if isinstance(node.namespace, str):
        return f"nsu={node.namespace.replace('%', '%25').replace(';', '%3B')};{written}"
    return f"ns={node.namespace};{written}" if node.namespace else written


def parse_path(text: str) -> tuple[Step, ...]:
    """A browse path from the root; ``&`` makes the character after it part of a name. Raises ValueError."""
    example = "write it from the root, such as /Objects/2:Plant/2:Temp"
    if not _PATH.fullmatch(text):
        raise ValueError(f"{text!r} is no browse path; {example}")
    steps = []
    for index, name in _STEP.findall(text):
        if int(index or 0) > 0xFFFF:
            raise ValueError(f"{text!r}: a namespace index ends at 65535; {example}")
        steps.append(Step(int(index or 0), re.sub(r"&(.)", r"\1", name, flags=re.DOTALL)))
    return tuple(steps)
