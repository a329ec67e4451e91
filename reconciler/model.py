"""The values every part of the reconciler speaks of: what is wanted, what is observed, what happened before.

All of them are immutable and know no files, processes or clocks. ``*_at`` is epoch seconds for people, ``*_s`` a
duration in seconds; a time that decisions compare is *monotonic* seconds of the boot named beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from collectors.contract import Kind, LiveFile, Points, Report, SpecFile

__all__ = ["Kind", "LiveFile", "Points", "Report", "SpecFile"]

LOCAL_SINK = "local"
"""The embedded database; exists without a manifest and may not be declared."""


# --- wanted ---------------------------------------------------------------------------------------------------------


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
    needs a restart when it changes (see digest.py). ``config_files`` are the exec configFiles as written.
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
    """One machine: its name and the labels that nodeSelectors look at."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


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


# --- observed -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProcessId:
    """One process for all time: `start_ticks` is field 22 of /proc/PID/stat."""

    boot_id: str
    pid_namespace: str
    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class Stopping:
    """A stop under way: since when and until when (monotonic) before it is killed, and why."""

    since: float
    kill_at: float
    reason: str


@dataclass(frozen=True, slots=True)
class Instance:
    """One start of a name that is still alive, proven ours.

    `leader` is None where the first process is dead and others of its session or environment live on. `members`
    holds every live process of it, the leader included. `started` is monotonic, `started_at` epoch seconds; `wrote` is
    the monotonic time at which its log was last seen to grow.
    """

    name: str
    instance: str
    digest: str
    leader: ProcessId | None
    members: tuple[ProcessId, ...]
    started: float
    started_at: float
    wrote: float = 0.0
    command: tuple[str, ...] = ()
    stopping: Stopping | None = None
    cpu_percent: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock of a name without being provably ours; `pid` None = not visible from here."""

    pid: int | None
    command: str


@dataclass(frozen=True, slots=True)
class Termination:
    """How an instance ended. Code and signal are None where nobody saw them; never made up.

    `observed_by` is ``wait`` (own child), ``pidfd`` (adopted, told by the kernel) or ``none``. `ended` is monotonic,
    `lived_s` None where unknown. `stopped` tells that the reconciler had asked it to stop; `tail` is the end of its
    log, at most 1 KiB, secrets removed. `earlier_boot` tells that it went down with the machine.
    """

    name: str
    instance: str
    digest: str
    exit_code: int | None
    signal: int | None
    observed_by: Literal["wait", "pidfd", "none"]
    at: float
    ended: float
    lived_s: float | None = None
    stopped: Stopping | None = None
    tail: str = ""
    earlier_boot: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What a running (or last run) instance was given: its immutable spec and its live file."""

    spec: SpecFile
    live: LiveFile


@dataclass(frozen=True, slots=True)
class Observed:
    """The process table and the reports, as of one look.

    ``complete`` is False where the table could not be read whole: then nobody is started or stopped. ``ended`` are
    the terminations seen since the look before. ``applied`` is by name, for the digest that runs or ran last.
    """

    boot_id: str
    complete: bool = True
    instances: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    holders: Mapping[str, Holder] = field(default_factory=dict)
    ended: tuple[Termination, ...] = ()
    reports: Mapping[str, Report] = field(default_factory=dict)
    applied: Mapping[str, Applied] = field(default_factory=dict)


# --- remembered -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held:
    """Not started again until the digest, or what it refers to (`fingerprint`), changes, or `daq restart`."""

    digest: str
    reason: str
    message: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """What is remembered of a name; times are monotonic seconds of `boot_id` and void in another boot.

    `failures` in a row set the back-off; `restarts` are the automatic ones inside the policy's window. `digest` is
    the one last started, `fingerprint` that of the files and variables it referred to then. `removed_at` is when it
    was let go because its manifest vanished, for the prune guard.
    """

    boot_id: str = ""
    digest: str | None = None
    fingerprint: str = ""
    restart_count: int = 0
    failures: int = 0
    restarts: tuple[float, ...] = ()
    next_start: float | None = None
    next_start_at: float | None = None
    held: Held | None = None
    completed: str | None = None
    last_error: str | None = None
    terminations: tuple[Termination, ...] = ()
    removed_at: float | None = None


# --- decided --------------------------------------------------------------------------------------------------------


class Action(StrEnum):
    """What a step does; NONE does nothing and says why."""

    NONE = "none"
    START = "start"
    STOP = "stop"
    KILL = "kill"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs; values as written, secrets and `env` shown only as changed."""

    field: str
    before: Any
    after: Any
    effect: Literal["live", "restart"]


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one name, and why.

    `verdict` is the word shown to people: start, restart, stop, kill, update, keep, wait, hold, paused, draining,
    blocked or stopped. A restart is the action STOP now and START in a later pass. `manifest` is what a START
    starts: the wanted one, or of a removed name the one it last ran with. `until` is the monotonic time at which
    this name wants another look.
    """

    name: str
    kind: Kind
    action: Action
    verdict: str
    reason: str
    message: str
    manifest: Manifest | None = None
    instances: tuple[Instance, ...] = ()
    until: float | None = None
    changes: tuple[Change, ...] = ()

    @property
    def digest(self) -> str | None:
        """The digest of its manifest, where one is known."""
        return self.manifest.digest if self.manifest else None

    @property
    def stop(self) -> StopPolicy:
        """How its instances are asked to stop."""
        return self.manifest.stop if self.manifest else StopPolicy()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why stops of names whose manifests vanished are not carried out, and which names."""

    reason: str
    message: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass does, step by step in name order; printed by `diff`, performed by `apply` and `run`."""

    steps: tuple[Step, ...]
    refusal: Refusal | None = None

    @property
    def acting(self) -> tuple[Step, ...]:
        """The steps that change something now."""
        return tuple(s for s in self.steps if s.action is not Action.NONE)

    @property
    def look_at(self) -> float | None:
        """Monotonic time of the earliest step that waits for something."""
        return min((s.until for s in self.steps if s.until is not None), default=None)

    @property
    def id(self) -> str:
        """Names this plan: equal for equal actions on equal digests."""
        text = "\n".join(f"{s.action} {s.name} {s.digest} {s.reason}" for s in self.acting)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
