"""One old register or node as a tag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reconciler.legacy.text import LegacyError, Noted, integer, left_over, scalar

TYPES = {
    "float": "float32", "float32": "float32", "real": "float32", "double": "float64", "float64": "float64",
    "int": "int16", "int16": "int16", "short": "int16", "uint16": "uint16", "word": "uint16", "ushort": "uint16",
    "int32": "int32", "dint": "int32", "long": "int32", "uint32": "uint32", "dword": "uint32",
    "int64": "int64", "uint64": "uint64", "bool": "bool", "boolean": "bool", "bit": "bool",
    "string": "string", "str": "string",
}  # fmt: skip
WORDS = {
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "float32": 2,
    "int64": 4,
    "uint64": 4,
    "float64": 4,
}
KNOWN = {"tag", "address", "count", "data_type", "scale", "offset", "unit"}

_REFERENCE = re.compile(r"[134]\d{4}|[134]\d{5}")
_BITS = ("coil:", "discrete:", "1")
_BIT_DEVICES = re.compile(r"(X|Y|M|B|L|F|S|V|SM|SB|DX|DY|TS|TC|CS|CC|SS|SC)[0-9A-Fa-f]+", re.IGNORECASE)


def modbus_tag(register: Mapping[str, Any], where: str) -> Noted:
    """A register of a Modbus configuration. Raises LegacyError."""
    written = _address(register, where)
    notes = []
    if _REFERENCE.fullmatch(written):
        address = written
        notes.append(
            f"address: {written} is taken as the reference it looks like. The old collector sent {written} itself;\n"
            f'to read what it read: address: "holding:{written}"'
        )
    else:
        address = f"holding:{integer(written, f'{where}.address')}"
    return _tag(register, address, notes, where, bits=address.startswith(_BITS))


def melsec_tag(register: Mapping[str, Any], where: str) -> Noted:
    """A register of a MELSEC configuration. Raises LegacyError."""
    address = _address(register, where).upper()
    return _tag(register, address, [], where, bits=bool(_BIT_DEVICES.fullmatch(address)))


def opcua_tag(node: Mapping[str, Any], where: str) -> Noted:
    """A node of an OPC UA configuration. Raises LegacyError."""
    if not isinstance(node.get("node_id"), str):
        raise LegacyError(f"{where}.node_id: is missing; write for example ns=2;s=Line1.Speed")
    tag = {"name": _name(node, where), "node": node["node_id"], **_scaled(node), **_unit(node)}
    notes = left_over(node, {"tag", "node_id", "unit", "scale", "offset", "data_type"}, "")
    if "data_type" in node:
        notes.append(f"the server's own type is kept; the old file said {scalar(node['data_type'])}")
    return Noted(tag, tuple(notes))


def _tag(register: Mapping[str, Any], address: str, notes: list[str], where: str, *, bits: bool) -> Noted:
    written = str(register.get("data_type", "bool" if bits else "int16"))
    kind = TYPES.get(written.lower())
    if kind is None:
        raise LegacyError(
            f"{where}.data_type: {written!r} is unknown; write {', '.join(sorted(set(TYPES.values())))}"
        )
    count = integer(register.get("count", 1), f"{where}.count")
    if count < 1:
        raise LegacyError(f"{where}.count: {count} reads nothing; write 1 or more")
    place = int(address) if address.isdecimal() else address
    tag: dict[str, Any] = {"name": _name(register, where), "address": place}
    if bits:
        if kind != "bool":
            notes.append(f"data_type {written}: {address} is one bit, which is stored as true or false")
        tag |= {"type": "bool"} | ({"count": count} if count > 1 else {})
    elif kind == "bool":
        notes.append(f"data_type {written}: bit 0 is taken; the old collector took any word but 0 for true")
        tag |= {"address": f"{address}.0", "type": "bool"}
    elif kind == "string":
        tag |= {"type": "string", "length": 2 * count}
    else:
        tag |= _numbers(kind, count, notes, tag | _scaled(register) | _unit(register))
    return Noted(tag | _unit(register), (*notes, *left_over(register, KNOWN, "")))


def _numbers(kind: str, count: int, notes: list[str], tag: Mapping[str, Any]) -> dict[str, Any]:
    """Type, count and scale: the old count was of registers, the new one is of values."""
    width = WORDS[kind]
    scaled = {key: tag[key] for key in ("scale", "offset") if key in tag}
    if count < width:
        notes.append(
            f"count {count} of {kind}: the old collector read one 16-bit word, and so does this.\n"
            f"Where the device holds {width} words there: {scalar({**tag, 'type': kind})}"
        )
        return {"type": "int16", **scaled}
    if count % width:
        notes.append(
            f"CHECK count {count}: a {kind} takes {width} registers; the last {count % width} are left out"
        )
    if width > 1:
        notes.append(
            "CHECK order: the word order is not in the old file; daq read shows whether the value is right"
        )
    values = count // width
    return {"type": kind, **({"count": values} if values > 1 else {}), **scaled}


def _address(register: Mapping[str, Any], where: str) -> str:
    address = register.get("address")
    if isinstance(address, bool) or not isinstance(address, int | str) or address == "":
        raise LegacyError(f"{where}.address: is missing; write for example 40001 or D100")
    return str(address).strip()


def _name(register: Mapping[str, Any], where: str) -> str:
    name = register.get("tag", register.get("name"))
    if not isinstance(name, str) or not name:
        raise LegacyError(f"{where}.tag: is missing; every reading needs a name")
    return name


def _scaled(register: Mapping[str, Any]) -> dict[str, Any]:
    neutral = {"scale": 1, "offset": 0}
    return {key: register[key] for key in neutral if register.get(key, neutral[key]) != neutral[key]}


def _unit(register: Mapping[str, Any]) -> dict[str, Any]:
    return {"unit": str(register["unit"])} if register.get("unit") else {}
