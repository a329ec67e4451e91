"""A digest changes with what needs a restart, and with nothing else."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.contract import canonical_duration, canonical_size, parse_duration, parse_size
from reconciler.digest import LIVE, digest, normal, split

SPEC: dict[str, Any] = {
    "type": "modbus",
    "interval": "1s",
    "devices": [{"host": "10.0.0.1", "labels": {"hall": "A"}, "tags": [{"name": "d", "address": "40009"}]}],
    "tags": [{"name": "t", "address": "40001", "type": "int16", "scale": 0.5, "unit": "°C", "title": "温度"}],
}


@pytest.mark.parametrize(
    ("kind", "name", "spec", "files", "recorded"),
    [
        ("Collector", "press-1", SPEC, {}, "1-9f4262c3b9d2197c"),
        (
            "Collector",
            "app",
            {"type": "exec", "command": ["app"], "configFiles": ["a.toml"]},
            {"a.toml": "00"},
            "1-1b265b6f381eca82",
        ),
        (
            "Sink",
            "plant",
            {"type": "influxdb", "url": "http://h", "bucket": "b", "timeout": "10s"},
            {},
            "1-171231014f6e4e24",
        ),
    ],
)
def test_recorded_digests_stay_as_they_are(
    kind: Any, name: str, spec: dict[str, Any], files: dict[str, str], recorded: str
) -> None:
    assert digest(kind, name, spec, files) == recorded


@pytest.mark.parametrize("field", [*LIVE, "state"])
def test_a_live_field_does_not_change_the_digest(field: str) -> None:
    assert digest("Collector", "a", {**SPEC, field: "x"}) == digest("Collector", "a", SPEC)


def test_unit_and_title_of_a_tag_do_not_change_the_digest() -> None:
    other = {**SPEC, "tags": [{**SPEC["tags"][0], "unit": "K", "title": "x"}]}
    assert digest("Collector", "a", other) == digest("Collector", "a", SPEC)
    assert split("Collector", other)[2] == {"t": {"unit": "K", "title": "x"}}


@pytest.mark.parametrize(
    "other",
    [
        {**SPEC, "interval": "2s"},
        {**SPEC, "env": {"A": "1"}},
        {**SPEC, "interval": "1s", "measurement": "m"},
        {**SPEC, "tags": [{**SPEC["tags"][0], "scale": 0.1}]},
        {**SPEC, "devices": [{"host": "10.0.0.2"}]},
    ],
)
def test_everything_else_changes_the_digest(other: dict[str, Any]) -> None:
    assert digest("Collector", "a", other) != digest("Collector", "a", SPEC)


def test_name_kind_and_contents_of_config_files_are_part_of_the_digest() -> None:
    found = {
        digest("Collector", "a", SPEC),
        digest("Collector", "b", SPEC),
        digest("Sink", "a", SPEC),
        digest("Collector", "a", SPEC, {"x": "1"}),
        digest("Collector", "a", SPEC, {"x": "2"}),
    }
    assert len(found) == 5


def test_another_spelling_of_the_same_values_is_the_same_digest() -> None:
    other = {**SPEC, "interval": "1000ms", "tags": [{**SPEC["tags"][0], "count": 1.0}]}
    same = {**SPEC, "tags": [{**SPEC["tags"][0], "count": 1}]}
    assert digest("Collector", "a", other) == digest("Collector", "a", same)


def test_env_and_labels_are_never_rewritten() -> None:
    spec = {"type": "exec", "env": {"timeout": "60s"}, "labels": {"interval": "60s"}}
    assert normal(spec) == spec


@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_is_irrelevant(chance: random.Random) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, dict):
            keys = list(value)
            chance.shuffle(keys)
            return {k: shuffled(value[k]) for k in keys}
        return [shuffled(v) for v in value] if isinstance(value, list) else value

    assert digest("Collector", "a", shuffled(SPEC)) == digest("Collector", "a", SPEC)


@given(st.integers(0, 10**6), st.sampled_from(["ms", "s", "m", "h", "d"]))
def test_the_canonical_duration_is_as_long_and_canonical(count: int, unit: str) -> None:
    text = canonical_duration(f"{count}{unit}")
    assert parse_duration(text) == parse_duration(f"{count}{unit}")
    assert canonical_duration(text) == text


@given(st.integers(0, 10**6), st.sampled_from(["B", "KiB", "MiB", "GiB"]))
def test_the_canonical_size_is_as_large_and_canonical(count: int, unit: str) -> None:
    text = canonical_size(f"{count}{unit}")
    assert parse_size(text) == parse_size(f"{count}{unit}")
    assert canonical_size(text) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("1s", 1), ("5m", 300), ("2h", 7200), ("7d", 604800), ("0s", 0)]
)
def test_durations_mean_what_they_say(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5S", "-1s", "1e3s", "5min", "٣s"])
def test_what_is_no_duration_is_refused_saying_what_is_right(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 500ms"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["256MB", "1", "KiB", "1 GiB"])
def test_what_is_no_size_is_refused_saying_what_is_right(text: str) -> None:
    with pytest.raises(ValueError, match="write for example 64KiB"):
        parse_size(text)
