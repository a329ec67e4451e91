"""One old collector configuration as a Collector, and its database as a Sink."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.legacy.registers import melsec_tag, modbus_tag, opcua_tag
from reconciler.legacy.text import (
    LegacyError,
    Manifest,
    Noted,
    integer,
    is_secret,
    left_over,
    name_of,
    seconds,
)

SECTIONS = {"modbus": "modbus", "opcua": "opcua", "melsec": "melsec", "melsoft": "melsec"}
"""Section of the old file, and the type it becomes."""
SMALLEST_SERIES = "FX3"

_X_OR_Y = re.compile(r"[XY][0-9A-Fa-f]+", re.IGNORECASE)

Given = Mapping[str, Any]


def section_of(config: Given) -> str | None:
    """``modbus``, ``opcua``, ``melsec`` or ``melsoft``; None where the file is no collector's."""
    return next((s for s in SECTIONS if isinstance(config.get(s), Mapping)), None)


def collector(name: str, config: Given, where: str, series: str | None) -> tuple[Manifest, Manifest | None]:
    """The Collector, whose Sink is named after its database, and that Sink. Raises LegacyError."""
    section = section_of(config)
    assert section is not None
    kind = SECTIONS[section]
    device, notes = _DEVICES[kind](config[section], f"{where}: {section}")
    sink, database = _sink(config, where)
    measurement = database.get("measurement")
    spec: dict[str, Any] = {"type": kind}
    if "collect_interval" in config:
        spec["interval"] = seconds(config["collect_interval"], f"{where}: collect_interval")
    if measurement:
        spec["measurement"] = str(measurement)
    if sink:
        spec["sinks"] = [sink.name]
    listed = "nodes" if kind == "opcua" else "registers"
    registers = config.get(listed)
    if not isinstance(registers, list) or not registers or not all(isinstance(r, Mapping) for r in registers):
        raise LegacyError(f"{where}: {listed}: is no list of objects; a collector needs at least one")
    if kind == "melsec":
        device = _with_series(device, registers, series, where)
    spec["devices"] = [device]
    spec["tags"] = [_TAGS[kind](r, f"{where}: {listed}[{i}]") for i, r in enumerate(registers)]
    notes += left_over(config, {section, "collect_interval", listed, "influxdb"}, "")
    return Manifest("Collector", name, spec, notes), sink


def _modbus(section: Given, where: str) -> tuple[dict[str, Any], list[str]]:
    device = {"host": _host(section, where), **_port(section, where), **_timeout(section, where)}
    if "unit_id" in section:
        device["unitId"] = integer(section["unit_id"], f"{where}.unit_id")
    return device, left_over(section, {"host", "port", "timeout", "unit_id"}, "modbus.")


def _melsec(section: Given, where: str) -> tuple[dict[str, Any], list[str]]:
    device = {
        "host": _host(section, where),
        **_port(section, where),
        "frame": "1E",
        **_timeout(section, where),
    }
    return device, left_over(section, {"host", "port", "timeout"}, "melsec.")


def _opcua(section: Given, where: str) -> tuple[dict[str, Any], list[str]]:
    if not isinstance(section.get("url"), str):
        raise LegacyError(f"{where}.url: is missing; write for example opc.tcp://192.168.1.101:4840")
    device: dict[str, Any] = {"url": section["url"], "mode": "poll", **_timeout(section, where)}
    known = {"url", "timeout"}
    notes = ["mode: poll reads as the old collector did; without it the server sends every change"]
    if user := section.get("username", section.get("user")):
        device["user"] = {"name": str(user), "password": {"env": "OPCUA_PASSWORD"}}
        notes.append("set OPCUA_PASSWORD in the environment of daq; no password stands in a manifest")
        known |= {"username", "user", *filter(is_secret, section)}
    return device, [*notes, *left_over(section, known, "opcua.")]


def _with_series(device: dict[str, Any], registers: list[Any], series: str | None, where: str) -> Any:
    if series:
        return {**device, "series": series}
    for i, register in enumerate(registers):
        address = str(register.get("address", ""))
        if _X_OR_Y.fullmatch(address):
            raise LegacyError(
                f"{where}: registers[{i}].address: {address} is octal on FX and hexadecimal on Q, L and A; "
                "say which PLC it is: --series FX3U, or --series Q"
            )
    note = f"CHECK series: the old file does not say which PLC this is; {SMALLEST_SERIES} has the smallest requests"
    return Noted({**device, "series": SMALLEST_SERIES}, (note,))


def _sink(config: Given, where: str) -> tuple[Manifest | None, Given]:
    database = config.get("influxdb")
    if not isinstance(database, Mapping):
        return None, {}
    if not database.get("database"):
        raise LegacyError(f"{where}: influxdb.database: is missing; name the database the readings go to")
    where = f"{where}: influxdb"
    host, port = database.get("host", "localhost"), integer(database.get("port", 8086), f"{where}.port")
    spec: dict[str, Any] = {
        "type": "influxdb",
        "url": f"http://{host}:{port}",
        "database": str(database["database"]),
    }
    known = {"host", "port", "database", "measurement"}
    notes = []
    if user := database.get("username", database.get("user")):
        spec |= {"username": str(user), "password": {"env": "INFLUX_PASSWORD"}}
        notes.append("set INFLUX_PASSWORD in the environment of daq; no password stands in a manifest")
        known |= {"username", "user", *filter(is_secret, database)}
    notes += left_over(database, known, "influxdb.")
    return Manifest("Sink", name_of(spec["database"]), spec, notes), database


def _host(section: Given, where: str) -> str:
    if not isinstance(section.get("host"), str):
        raise LegacyError(f"{where}.host: is missing; write the address of the device")
    return str(section["host"])


def _port(section: Given, where: str) -> dict[str, Any]:
    return {"port": integer(section["port"], f"{where}.port")} if "port" in section else {}


def _timeout(section: Given, where: str) -> dict[str, Any]:
    return {"timeout": seconds(section["timeout"], f"{where}.timeout")} if "timeout" in section else {}


_DEVICES: Mapping[str, Callable[[Given, str], tuple[dict[str, Any], list[str]]]] = {
    "modbus": _modbus,
    "melsec": _melsec,
    "opcua": _opcua,
}
_TAGS: Mapping[str, Callable[[Given, str], Noted]] = {
    "modbus": modbus_tag,
    "melsec": melsec_tag,
    "opcua": opcua_tag,
}
