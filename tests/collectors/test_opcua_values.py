"""Data values to samples: statuses, times, types."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from collectors.model import Bad, Value
from collectors.protocols.opcua_values import Reader, is_overflow
from collectors.session import Sample
from collectors.spec import parse
from tests.collectors.test_opcua_spec import TAG, server, spec

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
AT_NS = 1_767_323_045_678_901_000
NOW_NS = AT_NS + 7


def reader(**written: Any) -> Reader:
    (device,) = parse("plant", spec({**TAG, **written})).devices
    return Reader(0, device.tags[0])


def data(value: Any, kind: str = "Double", status: int = 0, **over: Any) -> ua.DataValue:
    times = {"SourceTimestamp": AT, "ServerTimestamp": AT, **over}
    kind = "Null" if value is None else kind
    return ua.DataValue(ua.Variant(value, ua.VariantType[kind]), StatusCode=ua.StatusCode(status), **times)


def value(taken: ua.DataValue, **written: Any) -> Value | Bad:
    return reader(**written).sample(taken, NOW_NS).value


def test_a_value_has_the_time_of_its_source_else_of_its_server_else_of_now() -> None:
    later = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
    taken = reader()
    assert taken.sample(data(1.0, ServerTimestamp=later), NOW_NS) == Sample(0, 1.0, AT_NS)
    assert taken.sample(data(1.0, SourceTimestamp=None), NOW_NS).at_ns == AT_NS
    never = datetime(1601, 1, 1, tzinfo=UTC)
    assert taken.sample(data(1.0, SourceTimestamp=never, ServerTimestamp=None), NOW_NS).at_ns == NOW_NS
    beyond_64_bit = datetime(9999, 12, 31, tzinfo=UTC)
    assert taken.sample(data(1.0, SourceTimestamp=beyond_64_bit), NOW_NS).at_ns == AT_NS


@given(st.datetimes(datetime(1970, 1, 3), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_no_microsecond_of_a_time_is_lost(at: datetime) -> None:
    exact = (at - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400_000_000
    exact += (at.hour * 3600 + at.minute * 60 + at.second) * 1_000_000 + at.microsecond
    assert reader().sample(data(1.0, SourceTimestamp=at), NOW_NS).at_ns == exact * 1000


def test_a_bad_status_is_the_reason_and_an_uncertain_one_stands_beside_the_value() -> None:
    taken = reader()
    assert taken.sample(data(None, status=ua.StatusCodes.BadSensorFailure), NOW_NS).value == Bad(
        "BadSensorFailure"
    )
    uncertain = taken.sample(data(1.0, status=ua.StatusCodes.UncertainLastUsableValue), NOW_NS)
    assert (uncertain.value, uncertain.note) == (1.0, "UncertainLastUsableValue")
    assert taken.sample(data(1.0, status=0x80FA0000), NOW_NS).value == Bad("Status0x80FA0000")
    assert taken.sample(data(1.0, status=0x00000480), NOW_NS).note == ""


def test_the_overflow_of_a_queue_is_seen_only_where_the_status_says_so() -> None:
    assert is_overflow(data(1.0, status=0x00000480))
    assert is_overflow(data(None, status=ua.StatusCodes.BadSensorFailure | 0x0480))
    assert not is_overflow(data(1.0, status=0x00000080))
    assert not is_overflow(data(1.0))


@pytest.mark.parametrize(
    ("taken", "found"),
    [
        (data(True, "Boolean"), True),
        (data(-5, "SByte"), -5),
        (data(2**63 - 1, "UInt64"), 2**63 - 1),
        (data(2**63, "UInt64"), Bad("OutOfRange")),
        (data(float("inf")), Bad("Infinite")),
        (data(float("nan")), Bad("NotANumber")),
        (data("a", "String"), "a"),
        (data(ua.LocalizedText("Öl"), "LocalizedText"), "Öl"),
        (data(AT, "DateTime"), "2026-01-02T03:04:05.678901+00:00"),
        (data(datetime(9999, 12, 31, tzinfo=UTC), "DateTime"), "9999-12-31T00:00:00+00:00"),
        (data(b"\xff".decode(errors="surrogateescape"), "String"), Bad("NotText")),
        (data(ua.LocalizedText("\udcff"), "LocalizedText"), Bad("NotText")),
        (data(ua.LocalizedText(None), "LocalizedText"), ""),
        (data(3, "Int32"), 3),  # an enumeration goes as its number
        (data(b"a", "ByteString"), Bad("UnsupportedType")),
        (data(ua.ExtensionObject(ua.NodeId(5, 2), b"a"), "ExtensionObject"), Bad("UnsupportedType")),
        (data(ua.QualifiedName("a", 1), "QualifiedName"), Bad("UnsupportedType")),
        (data([1.0]), Bad("NoScalar")),
        (data(None), Bad("NoValue")),
    ],
)
def test_a_value_of_any_type_is_stored_or_says_why_not(taken: ua.DataValue, found: Value | Bad) -> None:
    assert value(taken) == found
    assert type(value(taken)) is type(found)


@pytest.mark.parametrize(
    ("wanted", "taken", "found"),
    [
        ("float64", data(5, "Int32"), 5.0),
        ("float32", data(1.5), 1.5),
        ("int16", data(5, "Int64"), 5),
        ("int16", data(40000, "UInt16"), Bad("OutOfRange")),
        ("int16", data(5.0), Bad("TypeChanged")),
        ("bool", data(1, "Int32"), Bad("TypeChanged")),
        ("float64", data(True, "Boolean"), Bad("TypeChanged")),
        ("string", data(5, "Int32"), Bad("TypeChanged")),
        ("float64", data("5", "String"), Bad("TypeChanged")),
    ],
)
def test_a_type_that_is_written_holds_where_nothing_is_lost(
    wanted: str, taken: ua.DataValue, found: Value | Bad
) -> None:
    assert value(taken, type=wanted) == found
    assert type(value(taken, type=wanted)) is type(found)


def test_the_first_type_is_kept_and_another_one_is_a_bad_reading() -> None:
    taken = reader()
    answers = [
        data(None),
        data(5, "Int32"),
        data(5.5),
        data("x", "String"),
        data(6, "Int32"),
        data(7, "UInt32"),
    ]
    assert [taken.sample(a, NOW_NS).value for a in answers] == [
        Bad("NoValue"), 5, Bad("TypeChanged"), Bad("TypeChanged"), 6, Bad("TypeChanged"),
    ]  # fmt: skip


def test_scale_and_offset_are_exact() -> None:
    assert value(data(234, "Int32"), scale=0.1) == 23.4
    assert value(data(1.5), scale=2, offset=-1) == 2.0
    assert value(data(2**64 - 1, "UInt64"), scale=0.5) == (2**64 - 1) / 2
    assert value(data("a", "String"), scale=0.5) == "a"


def test_a_url_of_the_manifest_is_the_endpoint_of_the_report() -> None:
    assert server().endpoint == "opc.tcp://127.0.0.1:4840"
