"""OPC UA data values to samples: type, status, time. Pure, but for the driver's types.

Status codes: OPC 10000-4 section 7.38. Two bits say good, uncertain or bad; of the lower half only the
overflow of the item's queue concerns us. An uncertain value is stored, its status becomes the reason beside
it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from asyncua import ua
from asyncua.ua.status_codes import code_to_name_doc

from collectors.decode import NOT_TEXT
from collectors.model import Bad, Tag
from collectors.scale import Decoded, number
from collectors.session import Sample

TYPE_CHANGED = Bad("TypeChanged")
NO_VALUE = Bad("NoValue")
NO_SCALAR = Bad("NoScalar")
UNSUPPORTED = Bad("UnsupportedType")
OUT_OF_RANGE = Bad("OutOfRange")

_BAD = 1 << 31
_CODE = 0xFFFF0000
_OVERFLOW = 0x0480
"""Info type data value, and its bit Overflow."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
_LATEST = datetime(2262, 1, 1, tzinfo=UTC)
"""Nanoseconds since 1970 fit 64 bit until then; what lies outside is a clock that was never set."""

_PLAIN = (bool, int, float, str)
_NUMBERS = (int, float)
_INTEGERS = {
    "int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1), "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1),
}  # fmt: skip


def status_name(code: int) -> str:
    """``BadNodeIdUnknown`` and the like, or ``Status0x8ABC0000`` for one that has no name."""
    code &= _CODE
    named = code_to_name_doc.get(code)
    return str(named[0]) if named else f"Status0x{code:08X}"


def is_overflow(value: ua.DataValue) -> bool:
    """Whether the server dropped values of this item before this one."""
    status = value.StatusCode
    return status is not None and status.value & _OVERFLOW == _OVERFLOW


class Reader:
    """The values of one tag; the first type that the server sends is kept as long as this lives."""

    def __init__(self, index: int, tag: Tag) -> None:
        self._index = index
        self._tag = tag
        self._kept: ua.VariantType | None = None

    @property
    def is_number(self) -> bool:
        """Whether the server has sent numbers so far."""
        return self._kept is not None and ua.VariantType.SByte <= self._kept <= ua.VariantType.Double

    def sample(self, value: ua.DataValue, now_ns: int) -> Sample:
        """What a data value says."""
        status = value.StatusCode
        code = status.value & _CODE if status is not None else 0
        at_ns = _time_ns(value, now_ns)
        note = status_name(code) if code else ""
        if code & _BAD:
            return Sample(self._index, Bad(note), at_ns)
        return Sample(self._index, self._value(value.Value), at_ns, note)

    def _value(self, variant: ua.Variant | None) -> Decoded:
        if variant is None or variant.Value is None:
            return NO_VALUE
        raw, kind = variant.Value, variant.VariantType
        if isinstance(raw, list):
            return NO_SCALAR
        wanted = self._tag.type
        if not wanted and self._kept is not kind and self._kept is not None:
            return TYPE_CHANGED
        plain = _plain(raw)
        if plain is None:
            return UNSUPPORTED
        if isinstance(plain, str) and not _is_text(plain):
            return NOT_TEXT
        self._kept = kind
        found = _as_wanted(wanted, plain) if wanted else plain
        if isinstance(found, _NUMBERS) and not isinstance(found, bool):
            return number(self._tag, found)
        return found


def _plain(raw: object) -> bool | int | float | str | None:
    if isinstance(raw, _PLAIN):
        return raw
    if isinstance(raw, ua.LocalizedText):
        return raw.Text or ""
    if isinstance(raw, datetime):
        return raw.isoformat()
    return str(raw) if isinstance(raw, UUID) else None


def _is_text(value: str) -> bool:
    """Whether it was UTF-8; the driver keeps other bytes as lone surrogates, which nothing can store."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_wanted(wanted: str, value: bool | int | float | str) -> Decoded:
    """The value in the type that the manifest writes, if nothing of it is lost so."""
    if wanted == "bool" or isinstance(value, bool):
        return value if wanted == "bool" and isinstance(value, bool) else TYPE_CHANGED
    if wanted == "string" or isinstance(value, str):
        return value if wanted == "string" and isinstance(value, str) else TYPE_CHANGED
    if wanted.startswith("float"):
        return float(value)
    if isinstance(value, float):
        return TYPE_CHANGED
    low, high = _INTEGERS[wanted]
    return value if low <= value <= high else OUT_OF_RANGE


def _time_ns(value: ua.DataValue, now_ns: int) -> int:
    """When the source took it, else when the server did, else now; the driver gives whole microseconds."""
    at = value.SourceTimestamp
    if at is None or not _EARLIEST <= at < _LATEST:
        at = value.ServerTimestamp
        if at is None or not _EARLIEST <= at < _LATEST:
            return now_ns
    since: timedelta = at - _EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
