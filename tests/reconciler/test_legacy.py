"""What the older JSON files meant is what the manifests say, and whatever has no equal is a comment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler import desired
from reconciler.legacy.files import manifests_of
from reconciler.legacy.text import LegacyError, scalar

INFLUX = {"host": "db", "port": 8086, "database": "plant", "measurement": "m"}


def modbus(*registers: dict[str, Any], **more: Any) -> dict[str, Any]:
    config = {"modbus": {"host": "10.0.0.1", "port": 502, "timeout": 5, "unit_id": 3}, "influxdb": INFLUX}
    return {**config, "collect_interval": 5, "registers": list(registers), **more}


def melsoft(*registers: dict[str, Any], section: str = "melsoft") -> dict[str, Any]:
    return {section: {"host": "10.0.0.2", "port": 5002}, "registers": list(registers), "influxdb": INFLUX}


def process(**keys: Any) -> dict[str, Any]:
    return {"processes": {"p": {"command": ["./run"], "auto_restart": True, **keys}}}


def imported(value: Any, tmp_path: Path, series: str | None = None) -> tuple[dict[str, Any], str]:
    """The spec and text of the only collector; every result is valid."""
    texts = manifests_of({"a_config.json": value}, series)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    _, errors = desired.check([], tmp_path)
    assert not errors
    name = next(iter(texts))
    document: dict[str, Any] = yaml.safe_load(texts[name])
    return document["spec"], texts[name]


def tag(register: dict[str, Any], tmp_path: Path) -> tuple[dict[str, Any], str]:
    spec, text = imported(modbus({"tag": "t", **register}), tmp_path)
    return spec["tags"][0], text


def test_a_configuration_becomes_a_collector_and_its_database_a_sink(tmp_path: Path) -> None:
    texts = manifests_of({"dir/press_config.json": modbus({"tag": "t", "address": 40001})}, None)
    assert list(texts) == ["press.yaml", "plant.yaml"]
    collector, sink = (yaml.safe_load(text) for text in texts.values())
    assert collector["metadata"]["name"] == "press"
    assert collector["spec"] | {"tags": []} == {
        "type": "modbus", "interval": "5s", "measurement": "m", "sinks": ["plant"], "tags": [],
        "devices": [{"host": "10.0.0.1", "port": 502, "timeout": "5s", "unitId": 3}],
    }  # fmt: skip
    assert sink["spec"] == {"type": "influxdb", "url": "http://db:8086", "database": "plant"}


def test_a_reference_keeps_its_meaning_and_a_comment_reads_what_was_read(tmp_path: Path) -> None:
    found, text = tag({"address": 40001, "data_type": "int16"}, tmp_path)
    assert found == {"name": "t", "address": 40001, "type": "int16"}
    assert 'address: "holding:40001"' in text


def test_an_address_that_is_no_reference_counts_from_zero_as_before(tmp_path: Path) -> None:
    assert tag({"address": 100}, tmp_path)[0]["address"] == "holding:100"


def test_a_float_of_one_register_is_the_word_that_was_read(tmp_path: Path) -> None:
    found, text = tag(
        {"address": 40001, "count": 1, "data_type": "float", "scale": 0.1, "unit": "°C"}, tmp_path
    )
    assert found == {"name": "t", "address": 40001, "type": "int16", "scale": 0.1, "unit": "°C"}
    assert "{name: t, address: 40001, scale: 0.1, unit: °C, type: float32}" in text


@pytest.mark.parametrize(
    ("data_type", "count", "kind", "values"),
    [
        ("float", 2, "float32", None),
        ("float", 4, "float32", 2),
        ("int16", 4, "int16", 4),
        ("int32", 2, "int32", None),
        ("double", 8, "float64", 2),
        ("uint16", 1, "uint16", None),
    ],
)
def test_a_count_of_registers_becomes_one_of_values(
    data_type: str, count: int, kind: str, values: int | None, tmp_path: Path
) -> None:
    found, _ = tag({"address": 40001, "count": count, "data_type": data_type}, tmp_path)
    assert (found["type"], found.get("count")) == (kind, values)


def test_a_string_has_two_bytes_a_register(tmp_path: Path) -> None:
    assert tag({"address": 40001, "count": 8, "data_type": "string"}, tmp_path)[0]["length"] == 16


def test_registers_that_fill_no_value_are_told_of(tmp_path: Path) -> None:
    found, text = tag({"address": 40001, "count": 3, "data_type": "float"}, tmp_path)
    assert found["type"] == "float32"
    assert "CHECK count 3" in text


def test_a_bool_in_a_word_is_its_lowest_bit(tmp_path: Path) -> None:
    assert tag({"address": 40001, "data_type": "bool"}, tmp_path)[0]["address"] == "40001.0"


def test_melsoft_is_frame_1e_of_the_series_with_the_smallest_requests(tmp_path: Path) -> None:
    registers: list[dict[str, Any]] = [
        {"tag": "n", "address": "D100", "count": 2, "data_type": "int32"},
        {"tag": "b", "address": "M10"},
    ]
    spec, text = imported(melsoft(*registers), tmp_path)
    assert spec["type"] == "melsec"
    assert spec["devices"] == [{"host": "10.0.0.2", "port": 5002, "frame": "1E", "series": "FX3"}]
    assert spec["tags"] == [
        {"name": "n", "address": "D100", "type": "int32"},
        {"name": "b", "address": "M10", "type": "bool"},
    ]
    assert "# CHECK series" in text


def test_x_and_y_demand_the_series(tmp_path: Path) -> None:
    config = melsoft({"tag": "x", "address": "X17", "data_type": "bool"}, section="melsec")
    with pytest.raises(LegacyError, match="--series"):
        manifests_of({"a.json": config}, None)
    spec, text = imported(config, tmp_path, "FX3U")
    assert spec["devices"][0]["series"] == "FX3U"
    assert "CHECK" not in text


def test_opc_ua_is_polled_as_before(tmp_path: Path) -> None:
    config = {
        "opcua": {"url": "opc.tcp://10.0.0.3:4840", "timeout": 5, "username": "daq", "password": "hunter2"},
        "nodes": [{"tag": "speed", "node_id": "ns=2;s=Line1.Speed", "unit": "m/min"}],
        "collect_interval": 0.5,
    }
    spec, text = imported(config, tmp_path)
    assert spec["interval"] == "500ms"
    assert spec["devices"][0]["mode"] == "poll"
    assert spec["tags"] == [{"name": "speed", "node": "ns=2;s=Line1.Speed", "unit": "m/min"}]
    assert "OPCUA_PASSWORD" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("keys", "restart"),
    [
        ({"auto_restart": False, "max_restarts": 3}, {"policy": "never"}),
        ({"max_restarts": 0, "restart_delay": 1}, {"policy": "never"}),
        (
            {"max_restarts": 5, "restart_delay": 10},
            {"delay": "10s", "maxDelay": "10s", "maxRestarts": 5, "window": "0s"},
        ),
        ({"restart_delay": 2}, {"delay": "2s", "maxDelay": "2s"}),
        ({}, None),
    ],
)
def test_a_process_is_restarted_as_before(keys: dict[str, Any], restart: Any, tmp_path: Path) -> None:
    assert imported(process(**keys), tmp_path)[0].get("restart") == restart


@pytest.mark.parametrize(
    ("keys", "comment"),
    [
        (
            {"auto_restart": False, "max_restarts": 3, "restart_delay": 15},
            "max_restarts: 3, restart_delay: 15",
        ),
        ({"auto_restart": False, "max_restarts": 0}, "max_restarts: 0"),
        ({"max_restarts": 0, "restart_delay": 1}, "restart_delay: 1"),
        ({"max_restarts": 0}, None),
    ],
)
def test_what_has_no_effect_where_nothing_is_restarted_is_said(
    keys: dict[str, Any], comment: str | None, tmp_path: Path
) -> None:
    _, _, said = imported(process(**keys), tmp_path)[1].partition("without effect then: ")
    assert said.partition("\n")[0] == (comment or "")


def test_a_program_keeps_its_command_directory_and_environment(tmp_path: Path) -> None:
    keys = {
        "command": ["python", "print.py", "--line", "3"], "working_directory": "/opt/printer", "nice": 5,
        "environment": {"PRINTER": "zebra", "API_TOKEN": "hunter2"},
    }  # fmt: skip
    spec, text = imported(process(**keys), tmp_path)
    assert spec == {
        "type": "exec", "command": ["python", "print.py", "--line", "3"], "workingDirectory": "/opt/printer",
        "env": {"PRINTER": "zebra", "API_TOKEN": {"env": "API_TOKEN"}},
    }  # fmt: skip
    assert "# CHECK command: python" in text
    assert "# no equal: nice: 5" in text
    assert "hunter2" not in text


OLD = {"command": ["python", "-m", "apps.collector.modbustcp_influx"], "config_file": "conf/m.json"}


def test_an_old_collector_with_its_configuration_is_built_in_and_without_it_a_program() -> None:
    processes = process(**OLD, environment={"SECRET": "hunter2", "A": "b"}, restart_delay=3)
    config = modbus({"tag": "t", "address": 40001})
    texts = manifests_of({"old/processes.json": processes, "old/conf/m.json": config}, None)
    built_in = yaml.safe_load(texts["p.yaml"])["spec"]
    assert (built_in["type"], built_in["restart"]["delay"]) == ("modbus", "3s")
    assert 'no equal: environment.A: "b"' in texts["p.yaml"]
    assert "hunter2" not in texts["p.yaml"]
    assert list(texts) == ["p.yaml", "plant.yaml"]
    program = yaml.safe_load(manifests_of({"old/processes.json": processes}, None)["p.yaml"])["spec"]
    assert (program["type"], program["configFiles"]) == ("exec", ["conf/m.json"])


def test_one_sink_for_each_database() -> None:
    other = {**INFLUX, "host": "db2"}
    register = {"tag": "t", "address": 40001}
    files = {
        "a.json": modbus(register),
        "b.json": modbus(register),
        "c.json": modbus(register, influxdb=other),
    }
    texts = manifests_of(files, None)
    assert list(texts) == ["a.yaml", "b.yaml", "c.yaml", "plant.yaml", "plant-2.yaml"]
    assert [yaml.safe_load(texts[f"{n}.yaml"])["spec"]["sinks"][0] for n in "abc"] == [
        "plant",
        "plant",
        "plant-2",
    ]


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ({}, "neither"),
        ([], "neither"),
        ({"processes": {"p": {}}}, r"processes\.p\.command"),
        (modbus(), "registers"),
        (modbus({"tag": "t", "address": 40001, "data_type": "quad"}), r"registers\[0\]\.data_type"),
        (modbus({"tag": "t"}), r"registers\[0\]\.address"),
        (modbus({"address": 1}), r"registers\[0\]\.tag"),
        (modbus({"tag": "t", "address": 40001, "count": "two"}), r"registers\[0\]\.count"),
        (modbus({"tag": "t", "address": 40001}, collect_interval="soon"), "collect_interval"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(value: Any, where: str) -> None:
    with pytest.raises(LegacyError, match=rf"a\.json: .*{where}"):
        manifests_of({"a.json": value}, None)


@pytest.mark.parametrize(
    "value", ["yes", "1e3", "0x10", "", " a", "a: b", "%", "-", "[x]", "温度", "°C", "3s", "a\nb"]
)
def test_a_scalar_is_read_back_as_it_was(value: str) -> None:
    assert yaml.safe_load(f"{{a: {scalar(value)}}}") == {"a": value}
    assert json.loads(json.dumps(value)) == value
