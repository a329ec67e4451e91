"""What is wanted: manifests, and the set of them as of one look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from collectors.contract import Kind
from reconciler.digest import split

LOCAL_SINK = "local"
"""The embedded database; exists without a manifest and may not be declared."""


@dataclass(frozen=True, slots=True, order=True)
class ManifestError:
    """Something wrong in a manifest; `path` is relative to the manifests' root, line and column count from 1."""

    path: str
    line: int
    column: int
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When a process that ended is started again, and how soon; `max_restarts` 0 = never give up."""

    policy: Literal["always", "on-failure", "never"] = "always"
    delay_s: float = 1.0
    max_delay_s: float = 60.0
    max_restarts: int = 0
    window_s: float = 600.0


@dataclass(frozen=True, slots=True)
class StopPolicy:
    """The signal that asks a process to stop, and how long it may take before it is killed."""

    signal: str = "SIGTERM"
    grace_s: float = 10.0


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """`start_timeout_s`: until the first cycle; `stale_after_s`: without a report; `log_silence_s`: exec only."""

    start_timeout_s: float = 30.0
    stale_after_s: float = 60.0
    log_silence_s: float | None = None


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits; None where nothing was written."""

    memory_bytes: int | None = None
    nice: int | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One valid document of the manifests.

    ``spec`` has the shape of CONTRACT section 1: point tables merged into ``tags``, durations and sizes normalised in
    spelling, defaults not filled in. The policies are parsed from it with their defaults. ``digest`` covers what
    needs a restart when it changes. ``given``, ``live`` and ``texts`` are the spec in its parts (see digest.split).
    """

    kind: Kind
    name: str
    path: str
    line: int
    spec: Mapping[str, Any]
    digest: str
    title: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    restart: RestartPolicy = RestartPolicy()
    stop: StopPolicy = StopPolicy()
    health: HealthPolicy = HealthPolicy()
    resources: Resources = Resources()
    given: Mapping[str, Any] = field(init=False, compare=False)
    live: Mapping[str, Any] = field(init=False, compare=False)
    texts: Mapping[str, Mapping[str, str]] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        for name, part in zip(("given", "live", "texts"), split(self.kind, self.spec), strict=True):
            object.__setattr__(self, name, part)

    @property
    def type(self) -> str:
        """``modbus``, ``exec``, ``influxdb`` …"""
        return str(self.spec["type"])

    @property
    def running(self) -> bool:
        """Whether the manifest wants a process at all."""
        return bool(self.spec.get("state", "running") == "running")

    @property
    def node_selector(self) -> Mapping[str, str]:
        """Node labels that must match for this manifest to run here."""
        selector: Mapping[str, str] = self.spec.get("nodeSelector", {})
        return selector


@dataclass(frozen=True, slots=True)
class Node:
    """One machine: its name, the labels that nodeSelectors look at, and what its outboxes may take together
    (None: a part of the disk). `senders_elsewhere`: others keep the senders on its state directory.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    buffer_bytes: int | None = None
    senders_elsewhere: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Where manifests come from and how far they were read; shown as `source` in status.json."""

    kind: Literal["directory", "git"] = "directory"
    fetched: str | None = None
    attempted: str | None = None
    applied: str | None = None
    branch: str | None = None
    dirty: bool | None = None
    verified: bool | None = None
    fetched_at: float | None = None
    error: str | None = None
    desired_digest: str | None = None


@dataclass(frozen=True, slots=True)
class Desired:
    """What is wanted, as of one look at the manifests.

    ``manifests``: every name to plan, the embedded sink ``local`` included; a name whose document is broken now
    stands here as its last good version and in ``broken`` with the error. ``errors``: everything wrong, sorted.
    ``unconfirmed``: names whose documents vanished in the newest look but not yet in two looks 1 s apart; they still
    stand in ``manifests``. ``unread``: why the root could not be read (then nothing vanished); ``look_at``:
    monotonic time at which a look is needed to settle a change, or None.
    """

    manifests: Mapping[str, Manifest]
    broken: Mapping[str, ManifestError] = field(default_factory=dict)
    errors: tuple[ManifestError, ...] = ()
    unconfirmed: frozenset[str] = frozenset()
    unread: str | None = None
    look_at: float | None = None
    source: Source = Source()

    def sinks_of(self, manifest: Manifest) -> tuple[str, ...]:
        """Names of the sinks a collector writes to: those named, else `default` where declared, else `local`."""
        if manifest.kind == "Sink" or manifest.type == "exec":
            return ()
        named = manifest.spec.get("sinks")
        return tuple(named) if named else ("default" if "default" in self.manifests else LOCAL_SINK,)


@dataclass(frozen=True, slots=True)
class Pause:
    """A local override: leave a name alone (or keep it stopped) until `until_at`, epoch seconds."""

    who: str
    why: str
    until_at: float
    stopped: bool = False

    @property
    def sentence(self) -> str:
        """Who, until when, why."""
        until = datetime.fromtimestamp(self.until_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"paused{' and kept stopped' if self.stopped else ''} by {self.who} until {until}: {self.why}"
