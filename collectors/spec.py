"""A collector's spec in its frozen form, and what is wrong with one that fits the schema. Pure.

Both come from one reading, so a spec without problems is one that runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from collectors import protocols
from collectors.contract import Kind, Problem
from collectors.model import Device, Limits, OptionError, Tag
from collectors.quantities import parse_duration
from collectors.session import SessionFile
from collectors.tags import Context, TagError, parse_named_tag, parse_tag

Path = tuple[str | int, ...]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

RESERVED_LABELS = {"collector", "device", "tag"}
RESERVED_FIELDS = {"time"}
"""InfluxDB drops a field of this name without a word."""


@dataclass(frozen=True, slots=True)
class CollectorSpec:
    """What a built-in collector does; ``interval_ms`` is the base that every tag's ``every`` counts in."""

    name: str
    type: str
    measurement: str
    interval_ms: int
    devices: tuple[Device, ...]


class SpecError(ValueError):
    """A spec that cannot run, with every problem found."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        where = (f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems)
        super().__init__(f"cannot run {name}: " + "; ".join(where))
        self.problems = tuple(problems)


def parse(name: str, spec: Mapping[str, Any]) -> CollectorSpec:
    """A spec in its frozen form. Raises SpecError, or LookupError for an unknown protocol."""
    reading = _Reading(name, spec)
    devices = reading.devices()
    if reading.problems:
        raise SpecError(name, reading.problems)
    measurement = str(spec.get("measurement", name))
    return CollectorSpec(name, str(spec["type"]), measurement, reading.interval_ms, devices)


def check(kind: Kind, name: str, spec: Mapping[str, Any]) -> list[Problem]:
    """What no schema can say of a spec that fits its schema."""
    if kind != "Collector" or spec["type"] == "exec":
        return []
    try:
        reading = _Reading(name, spec)
    except LookupError:
        return []
    reading.devices()
    return sorted(set(reading.problems), key=_place)


def field_types(name: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """How each field of a sound spec is stored: ``integer``, ``float``, ``boolean`` or ``string``.

    A field whose type only its device knows (OPC UA without ``type``) is left out.
    """
    if spec["type"] == "exec":
        return {}
    tags = (tag for device in parse(name, spec).devices for tag in device.tags)
    return {field: tag.stored_as for tag in tags for field in tag.fields if tag.stored_as}


def _place(problem: Problem) -> list[tuple[int, str]]:
    return [(key, "") if isinstance(key, int) else (-1, key) for key in problem.path]


class _Reading:
    """One pass over a spec that goes on after a problem, to find them all."""

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        self.name = name
        self.spec = spec
        self.problems: list[Problem] = []
        self.protocol = protocols.load(str(spec["type"]))
        self.interval_ms = round(parse_duration(str(spec.get("interval", "5s"))) * 1000)
        if self.interval_ms <= 0:
            self.problem(("interval",), "an interval must be longer than 0")
            self.interval_ms = 1
        self.types: dict[str, tuple[str, str]] = {}
        self.shared: dict[Hashable, list[tuple[Path, Tag]]] = {}
        self.ports: dict[tuple[str, int], Device] = {}
        self.check_name(("measurement",), spec.get("measurement", name))

    def problem(self, path: Path, message: str) -> None:
        self.problems.append(Problem(path, message))

    def check_name(self, path: Path, name: object) -> None:
        """What line protocol cannot hold in names and labels."""
        if found := _CONTROL.search(str(name)):
            self.problem(
                path,
                f"{str(name)!r} cannot be stored: a name or label holds no control character; leave out"
                f" {found[0]!r}",
            )

    def devices(self) -> tuple[Device, ...]:
        defaults = self.spec.get("deviceDefaults", {})
        found: list[Device] = []
        names: set[str] = set()
        for i, written in enumerate(self.spec["devices"]):
            path: Path = ("devices", i)
            name = self.device_name(path, written)
            if name in names:
                self.problem((*path, "name"), f"there is already a device named {name}")
            names.add(name)
            self.check_name((*path, "name"), name)
            options = {**self.protocol.DEFAULTS, **defaults, **written}
            options["labels"] = {**defaults.get("labels", {}), **written.get("labels", {})}
            if device := self.device(path, name, options):
                found.append(device)
        return tuple(found)

    def device_name(self, path: Path, written: Mapping[str, Any]) -> str:
        if "name" not in written and len(self.spec["devices"]) > 1:
            self.problem(path, "a device needs a name where there are several")
        return str(written.get("name", self.name))

    def device(self, path: Path, name: str, options: Mapping[str, Any]) -> Device | None:
        for label in RESERVED_LABELS & options["labels"].keys():
            self.problem(
                (*path, "labels", label), f"{label} is set by the collector itself; use another label"
            )
        for label, text in options["labels"].items():
            self.check_name((*path, "labels", label), label)
            self.check_name((*path, "labels", label), text)
        where = "url" if isinstance(self.protocol, SessionFile) else "host"
        if where not in options:
            self.problem(path, f"a {where} is required, here or in deviceDefaults")
            return None
        try:
            device = self.protocol.parse_device(name, options)
        except OptionError as error:
            self.problem(self.place(path, error.key), str(error))
            return None
        except ValueError as error:
            self.problem(path, str(error))
            return None
        self.check_port(path, device)
        read = self.tag_reader(options, device.limits)
        alike = (device.limits, device.access)
        if alike not in self.shared:
            self.shared[alike] = self.tags(("tags",), self.spec.get("tags", ()), read)
        tags = self.shared[alike] + self.tags((*path, "tags"), options.get("tags", ()), read)
        if not self.spec.get("tags") and not options.get("tags"):
            self.problem(
                (*path, "tags"), f"nothing is read on {name}; give the collector or this device tags"
            )
        self.check_fields(tags)
        self.check_types(name, tags)
        labels = {str(k): str(v) for k, v in options["labels"].items()}
        return replace(device, labels=labels, tags=tuple(tag for _, tag in tags))

    def place(self, device: Path, key: str) -> Path:
        """Where a key of a device is written, or else the device."""
        if key in self.spec["devices"][device[-1]]:
            return (*device, key)
        return ("deviceDefaults", key) if key in self.spec.get("deviceDefaults", {}) else device

    def check_port(self, path: Path, device: Device) -> None:
        link = device.link
        other = self.ports.setdefault((link.host, link.port), device)
        if other.link != link:
            where, spoken = f"{link.host}:{link.port}", other.link.transport
            self.problem(path, f"{where} speaks {spoken} with {other.name}, not {link.transport}")

    def tag_reader(self, options: Mapping[str, Any], limits: Limits) -> Callable[[Mapping[str, Any]], Tag]:
        protocol = self.protocol
        if isinstance(protocol, SessionFile):
            return partial(parse_named_tag, protocol=protocol, options=options, interval_ms=self.interval_ms)
        return partial(parse_tag, context=Context(protocol, options, limits, self.interval_ms))

    def tags(
        self,
        path: Path,
        written: Sequence[Mapping[str, Any]],
        read: Callable[[Mapping[str, Any]], Tag],
    ) -> list[tuple[Path, Tag]]:
        found = []
        for i, tag in enumerate(written):
            try:
                found.append(((*path, i), read(tag)))
            except TagError as error:
                key = error.key if error.key[0] in tag else ()
                self.problem((*path, i, *key), str(error))
        return found

    def check_types(self, device: str, tags: Sequence[tuple[Path, Tag]]) -> None:
        """All devices write to one measurement, where a field has one type."""
        for path, tag in tags:
            for name in tag.fields if tag.stored_as else ():
                kind, other = self.types.setdefault(name, (tag.stored_as, device))
                if kind != tag.stored_as and other != device:
                    self.problem(
                        (*path, "name"),
                        f"{name} is {tag.stored_as} here and {kind} on {other}; a field has one type, so give it"
                        " another name",
                    )

    def check_fields(self, tags: Sequence[tuple[Path, Tag]]) -> None:
        owner: dict[str, str] = {}
        for path, tag in tags:
            for name in tag.fields:
                if name in owner:
                    message = f"there is already a field {name}, of tag {owner[name]}"
                    self.problem((*path, "name"), message)
                if name in RESERVED_FIELDS:
                    self.problem((*path, "name"), f"InfluxDB keeps the name {name} for itself; use another")
                self.check_name((*path, "name"), name)
                owner[name] = tag.name
