"""What the reconciler and its children agree on: where files lie, what they hold, how a child is called and ends.

This module is the only crossing between the two rooms. Every file named here is replaced atomically, except logs and
databases; every JSON file is one object in UTF-8.

A child is ``python -m collectors <state-dir>/specs/<name>.<digest>.json`` (built-in collectors and senders) or the
command of an exec manifest. Its environment holds the four ``DAQ_`` variables below. It may be killed at any time and
never needs the reconciler to be alive.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, Self

from collectors.quantities import canonical_duration, canonical_size, parse_duration, parse_size
from collectors.statedir import StateDir

__all__ = ["StateDir", "canonical_duration", "canonical_size", "parse_duration", "parse_size"]

EXIT_STOPPED = 0
"""Asked to stop, and did."""
EXIT_RETRY = 75
"""Could not work now; try again with a back-off."""
EXIT_CONFIG = 78
"""The configuration is wrong; hold until it, or what it refers to, changes."""

ENV_NAME, ENV_DIGEST, ENV_STATE_DIR, ENV_INSTANCE = "DAQ_NAME", "DAQ_DIGEST", "DAQ_STATE_DIR", "DAQ_INSTANCE"

REPORT_EVERY_S = 10.0
"""A child reports on change, and at least this often."""

VALUES_WANTED_S = 15.0
"""So long after the mark was set a collector keeps its newest values written."""

DEFAULT_BUFFER = {"maxBytes": "256MiB", "maxAge": "7d"}
"""The bounds of an outbox where ``spec.buffer`` does not say."""

Kind = Literal["Collector", "Sink"]


@dataclass(frozen=True, slots=True)
class SpecFile:
    """What a child runs: the part of a manifest's spec whose change needs a restart.

    ``spec`` has the manifest's own shape (durations ``1s``, sizes ``64KiB``, text scalars as written), point tables
    already merged into ``tags``, live fields left out, defaults not filled in. ``directory`` is the absolute
    directory of the manifest: relative ``{file: PATH}`` start there.
    """

    kind: Kind
    name: str
    digest: str
    spec: Mapping[str, Any]
    node: str = ""
    directory: str = ""


@dataclass(frozen=True, slots=True)
class LiveFile:
    """The part of a manifest that changes without a restart.

    ``spec`` holds the live fields of the manifest as written (``restart stop health resources buffer sinks
    nodeSelector``); ``sinks`` the names of the sinks in force, defaults resolved (empty for a Sink); ``texts`` maps a
    tag's name to its ``unit`` and ``title``; ``metadata`` the manifest's title, labels and annotations.
    ``buffer_share``: bytes of ``--buffer-total`` for its outbox, None without a limit.
    """

    sinks: tuple[str, ...] = ()
    spec: Mapping[str, Any] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    buffer_share: int | None = None


@dataclass(frozen=True, slots=True)
class Points:
    """Counts of readings for one sink since the outbox began; ``acquired`` is the sum of the other four."""

    acquired: int = 0
    delivered: int = 0
    queued: int = 0
    dropped: int = 0
    rejected: int = 0

    def __add__(self, other: Points) -> Points:
        return Points(
            self.acquired + other.acquired,
            self.delivered + other.delivered,
            self.queued + other.queued,
            self.dropped + other.dropped,
            self.rejected + other.rejected,
        )


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A tag that its device refuses; ``since`` is epoch seconds."""

    tag: str
    address: str
    reason: str
    since: float


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """One device as its collector sees it; ``last_read_at`` epoch seconds, ``cycle_ms`` the last cycle's duration.

    ``lost_values``: the device dropped them because they were not fetched in time.
    """

    name: str
    endpoint: str
    connected: bool = False
    last_read_at: float | None = None
    reads: int = 0
    errors: int = 0
    late_cycles: int = 0
    lost_values: int = 0
    cycle_ms: float = 0.0
    last_error: str | None = None
    quarantined: tuple[Quarantined, ...] = ()


@dataclass(frozen=True, slots=True)
class BufferReport:
    """An outbox on disk: bytes in use, bytes allowed, and for how many seconds of outage the rest will do."""

    bytes: int
    max_bytes: int
    covers_s: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why something is not as it should be: a CamelCase reason, a sentence, and since when (epoch seconds)."""

    reason: str
    message: str
    since: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a child says of itself.

    ``monotonic_s`` and ``boot_id`` tell how old it is (the clock may step); ``cycled``: one full cycle was tried (a
    sender: the sink was tried once, or there is nothing to send). ``points`` are by sink for a collector, by
    collector for a sender. ``held`` is set while a sender's sink does not accept; ``buffer`` is of a collector;
    ``troubles`` by the type of the condition that tells of them. ``newest_at`` is the latest that the wall clock has
    been (epoch seconds), which it may not be any more.
    """

    name: str
    instance: str
    digest: str
    pid: int
    boot_id: str
    monotonic_s: float
    at: float
    cycled: bool = False
    devices: tuple[DeviceReport, ...] = ()
    points: Mapping[str, Points] = field(default_factory=dict)
    points_per_second: float = 0.0
    stale_tags: int = 0
    held: Trouble | None = None
    troubles: Mapping[str, Trouble] = field(default_factory=dict)
    buffer: BufferReport | None = None
    newest_at: float = 0.0

    def later_than(self, other: Report) -> bool:
        """Whether it was written after `other`, by the clock that never steps where both are of one boot."""
        if self.boot_id == other.boot_id:
            return self.monotonic_s > other.monotonic_s
        return self.at > other.at

    @property
    def news(self) -> object:
        """The part that is no counter and no time: equal for two reports that say the same."""
        devices = [(d.name, d.connected, d.last_error, d.quarantined) for d in self.devices]
        return self.instance, self.cycled, devices, self.stale_tags, self.held, self.troubles

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read back what :func:`to_json` made; unknown keys of a newer version are passed over.

        Raises KeyError, TypeError or ValueError where the value is not a report.
        """
        known = {f.name for f in fields(cls)}
        plain = {k: v for k, v in value.items() if k in known}
        devices = tuple(
            DeviceReport(**{**d, "quarantined": tuple(Quarantined(**q) for q in d.get("quarantined", ()))})
            for d in value.get("devices", ())
        )
        held, buffer = value.get("held"), value.get("buffer")
        plain |= {
            "devices": devices,
            "points": {k: Points(**v) for k, v in value.get("points", {}).items()},
            "held": Trouble(**held) if held else None,
            "buffer": BufferReport(**buffer) if buffer else None,
            "troubles": {k: Trouble(**v) for k, v in value.get("troubles", {}).items()},
        }
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class ExitFile:
    """How a child ended, as its parent saw it: code or signal; `at` epoch seconds, `monotonic_s` of `boot_id`."""

    name: str
    exit_code: int | None
    signal: int | None
    at: float
    monotonic_s: float
    boot_id: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place of a spec: `path` are the keys and indices below ``spec``."""

    path: tuple[str | int, ...]
    message: str


def check_spec(kind: Kind, name: str, spec: Mapping[str, Any]) -> list[Problem]:
    """What no schema can say of a spec that fits its schema: addresses, types, orders, lengths, duplicate fields."""
    from collectors.spec import check  # noqa: PLC0415  (spec speaks in terms of this module)

    return check(kind, name, spec)


@dataclass(frozen=True, slots=True)
class Tended:
    """An outbox without a collector: points queued and dropped for all sinks; whether it was removed."""

    queued: int
    dropped: int
    removed: bool


def tend_outbox(state: StateDir, name: str, *, remove: bool) -> Tended:
    """Do for an outbox what its collector would, where none lives: the caller holds ``locks/<name>``.

    With `remove` it is deleted, report and live file too, once nothing is queued. Raises sqlite3.Error, OSError.
    """
    from collectors.outbox.tending import tend  # noqa: PLC0415  (like check_spec)

    return tend(state, name, remove=remove)


def field_types(name: str, spec: Mapping[str, Any]) -> dict[str, str]:
    """How the fields of a collector's spec are stored: ``integer``, ``float``, ``boolean`` or ``string``.

    Those that only the device knows are left out. Raises ValueError or LookupError for a spec that cannot run.
    """
    from collectors import spec as specs  # noqa: PLC0415  (like check_spec)

    return specs.field_types(name, spec)


def to_json(value: SpecFile | LiveFile | Report | ExitFile) -> dict[str, Any]:
    """A plain JSON object of one of the files above."""
    return asdict(value)


def builtin_command(python: str, spec: Path) -> list[str]:
    """The argv of a built-in collector or sender; readable in ``ps``."""
    return [python, "-m", "collectors", str(spec)]


def boot_id() -> str:
    """The kernel's id of this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def monotonic() -> float:
    """Seconds on the clock that all processes of one boot share and that never steps."""
    return time.monotonic()


_LOOK_AGAIN_S = 0.02


def read_json(path: Path) -> Any:
    """Parse a JSON file. Raises OSError or ValueError."""
    return json.loads(path.read_bytes())


def read_values(state: StateDir, name: str, within_s: float = 2.5) -> dict[str, Any] | None:
    """What :meth:`StateDir.values` holds, as new as the collector has it; None where there is nothing.

    Asks the collector by setting its mark, and waits at most `within_s` for its answer, which comes within about a
    second, and at once while it is asked again and again. Where none comes (it does not run): what there is, whose
    ``at`` tells how old it is. Raises OSError.
    """
    end, wanted_at = time.monotonic() + within_s, None
    while True:
        wanted_at = wanted_at or _set(state.values_wanted(name))
        try:
            found: dict[str, Any] | None = read_json(state.values(name))
        except FileNotFoundError:
            found = None
        if (found and wanted_at and found["at"] >= wanted_at) or time.monotonic() >= end:
            return found
        time.sleep(_LOOK_AGAIN_S)


def _set(mark: Path) -> float | None:
    """Since when values are new enough for who sets the mark; None while its collector has not made it."""
    now = time.time()
    try:
        known_at = mark.stat().st_mtime
        os.utime(mark)
    except FileNotFoundError:
        return None
    follows = 0 <= now - known_at < VALUES_WANTED_S - 2
    return known_at - 2 if follows else now  # it looks every second


_REPLACED = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


def write_json(path: Path, value: Any, *, durable: bool = False) -> None:
    """Replace a JSON file, see :func:`replace_file`."""
    replace_file(path, json_bytes(value), durable=durable)


def json_bytes(value: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def replace_file(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace a file atomically; with `durable`, on disk before it returns. Raises OSError.

    A file has one writer, so the name of what is half written is fixed: a writer that was killed leaves at most one.
    """
    temporary = f"{path.parent}/.{path.name}.tmp"
    try:
        fd = os.open(temporary, _REPLACED, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(temporary, _REPLACED, 0o600)
    try:
        try:
            while data:
                data = data[os.write(fd, data) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(temporary, path)  # noqa: PTH105  (hot path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
