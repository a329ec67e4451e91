"""One tag of a manifest read into a :class:`Tag`, and everything that can be wrong with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from collectors.model import Address, Limits, ProtocolFile, Tag
from collectors.quantities import parse_duration

WORDS = {
    "int16": 1, "uint16": 1, "bcd16": 1,
    "int32": 2, "uint32": 2, "float32": 2, "bcd32": 2,
    "int64": 4, "uint64": 4, "float64": 4,
}  # fmt: skip
"""Words of one value of a type; bool is a bit, a string has its `length`."""

ORDERS = ("ABCD", "CDAB", "BADC", "DCBA")
_INTEGERS = {"int16", "uint16", "int32", "uint32", "int64", "uint64"}


class TagError(ValueError):
    """What is wrong with a tag, at which of its keys."""

    def __init__(self, key: tuple[str | int, ...], message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True, slots=True)
class Context:
    """What a tag is read against: its protocol, its device's keys and limits, the collector's interval."""

    protocol: ProtocolFile
    options: Mapping[str, Any]
    limits: Limits
    interval_ms: int


def parse_tag(tag: Mapping[str, Any], context: Context) -> Tag:
    """A tag from its manifest shape, which fits the schema. Raises TagError."""
    try:
        address = context.protocol.parse_address(tag, context.options)
    except ValueError as error:
        raise TagError(("address",), str(error)) from None
    kind = _type(tag, address, context.protocol.TOP_BIT)
    count = int(tag.get("count", 1))
    length = _length(tag, kind)
    width = 1 if address.unit == "bit" or kind == "bool" else (length + 1) // 2 if length else WORDS[kind]
    if address.bit is not None and count > 1:
        raise TagError(("count",), "a bit of a word is one value; give the bits names with `bits` instead")
    if width > context.limits.words and address.unit == "word":
        raise TagError(
            ("length",), f"one value of {width} words does not fit a request of {context.limits.words}"
        )
    last = address.offset + width * count - 1
    if last > context.protocol.LAST:
        raise TagError(("address",), f"{count} × {kind} from {tag['address']} ends at {last}, "
                                     f"beyond the last address {context.protocol.LAST}")  # fmt: skip
    bits = _bits(tag, kind, count)
    scale, offset, denominator = _scale(tag, kind, bits)
    return Tag(
        name=str(tag["name"]),
        address=address,
        text=str(tag.get("address", "")),
        type=kind,
        width=width,
        fields=tuple(bits.values()) if bits else _fields(tag, count),
        order=_order(tag, kind, context.protocol),
        length=length,
        count=count,
        bits=tuple(bits),
        scaled="scale" in tag or "offset" in tag,
        scale=scale,
        offset=offset,
        denominator=denominator,
        every=_every(tag, context.interval_ms),
        deadband=_deadband(tag, kind, bits),
        at_least_every_s=parse_duration(tag["atLeastEvery"]) if "atLeastEvery" in tag else None,
    )


def _type(tag: Mapping[str, Any], address: Address, top_bit: str) -> str:
    one_bit = address.unit == "bit" or address.bit is not None
    kind = tag.get("type", "bool" if one_bit else None)
    if kind is None:
        raise TagError(("type",), "a type is required; write for example type: uint16")
    if one_bit and kind != "bool":
        raise TagError(("type",), f"{tag['address']} is one bit, which is type bool, not {kind}")
    if kind == "bool" and not one_bit:
        raise TagError(
            ("type",), f"bool needs one bit of the word; write address: {tag['address']}.0 to .{top_bit}"
        )
    return str(kind)


def _length(tag: Mapping[str, Any], kind: str) -> int:
    if kind == "string" and "length" not in tag:
        raise TagError(("length",), "a string needs its length in bytes; write for example length: 16")
    if kind != "string" and "length" in tag:
        raise TagError(("length",), f"only a string has a length; {kind} has its own")
    return int(tag.get("length", 0))


def _fields(tag: Mapping[str, Any], count: int) -> tuple[str, ...]:
    names = tag.get("names")
    if names is None:
        return (str(tag["name"]),) if count == 1 else tuple(f"{tag['name']}_{i}" for i in range(count))
    if len(names) != count:
        raise TagError(("names",), f"{len(names)} names for count: {count}; give one name for each value")
    return tuple(str(n) for n in names)


def _bits(tag: Mapping[str, Any], kind: str, count: int) -> dict[int, str]:
    if "bits" not in tag:
        return {}
    if kind not in _INTEGERS:
        raise TagError(("bits",), f"{kind} has no named bits; use an integer type such as uint16")
    for key in ("names", "scale", "offset"):
        if key in tag:
            raise TagError((key,), f"{key} has no meaning beside bits, whose fields are bool")
    if count > 1:
        raise TagError(("count",), "bits names the bits of one value; leave out count")
    top = WORDS[kind] * 16 - 1
    for number in tag["bits"]:
        if not str(number).isdecimal() or int(number) > top:
            raise TagError(
                ("bits", number), f"{number} is no bit of {kind}; write 0 (least significant) to {top}"
            )
    return {int(number): str(name) for number, name in tag["bits"].items()}


def _order(tag: Mapping[str, Any], kind: str, protocol: ProtocolFile) -> str:
    if "order" not in tag:
        return protocol.TEXT_ORDER if kind == "string" else protocol.ORDER
    if kind == "bool":
        raise TagError(("order",), "order has no meaning for bool")
    if tag["order"] not in ORDERS:
        raise TagError(
            ("order",), f"{tag['order']} is no order; write {', '.join(ORDERS[:-1])} or {ORDERS[-1]}"
        )
    return str(tag["order"])


def _scale(tag: Mapping[str, Any], kind: str, bits: Mapping[int, str]) -> tuple[int, int, int]:
    """Scale and offset over one denominator, exactly as their decimal text says."""
    if kind in ("bool", "string"):
        for key in ("scale", "offset"):
            if key in tag:
                raise TagError((key,), f"{key} has no meaning for {kind}")
    scale, offset = Decimal(str(tag.get("scale", 1))), Decimal(str(tag.get("offset", 0)))
    if scale == 0:
        raise TagError(("scale",), "a scale of 0 makes every value the same; leave it out or write another")
    (a, b), (c, d) = scale.as_integer_ratio(), offset.as_integer_ratio()
    return a * d, c * b, b * d


def _every(tag: Mapping[str, Any], interval_ms: int) -> int:
    every = round(parse_duration(tag["every"]) * 1000) if "every" in tag else interval_ms
    if every < interval_ms or every % interval_ms:
        raise TagError(("every",), f"{tag['every']} is no multiple of the interval of {interval_ms} ms")
    return every // interval_ms


def _deadband(tag: Mapping[str, Any], kind: str, bits: Mapping[int, str]) -> float | None:
    if "deadband" not in tag:
        if "atLeastEvery" in tag:
            raise TagError(
                ("atLeastEvery",), "atLeastEvery has no meaning without deadband: every value is stored"
            )
        return None
    if kind in ("bool", "string") or bits:
        raise TagError(("deadband",), f"deadband has no meaning for {'bits' if bits else kind}")
    return float(tag["deadband"])
