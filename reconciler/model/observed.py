"""What is observed: processes, their ends, and what they were given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from collectors.contract import LiveFile, Report, SpecFile


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
    the monotonic time at which its log was last seen to grow. What is measured of it makes no other instance.
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
    cpu_percent: float = field(default=0.0, compare=False)
    memory_bytes: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds the lock of a name without being provably ours; `pid` None = not visible from here."""

    pid: int | None
    command: str


@dataclass(frozen=True, slots=True)
class Termination:
    """How an instance ended. Code and signal are None where nobody saw them; never made up.

    `observed_by` is ``wait`` (own child), ``pidfd`` (not our child, told by the kernel), ``parent`` (kept by the
    nursery that forked it) or ``none``. `ended` is monotonic, `lived_s` None where unknown. `stopped` tells that the
    reconciler had asked it to stop; `tail` is the end of its log, at most 1 KiB, secrets removed. `earlier_boot` tells
    that it went down with the machine.
    """

    name: str
    instance: str
    digest: str
    exit_code: int | None
    signal: int | None
    observed_by: Literal["wait", "pidfd", "parent", "none"]
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
    ``writable`` is False where the state directory is full or read-only: then reports are old for that reason.
    """

    boot_id: str
    complete: bool = True
    instances: Mapping[str, tuple[Instance, ...]] = field(default_factory=dict)
    holders: Mapping[str, Holder] = field(default_factory=dict)
    ended: tuple[Termination, ...] = ()
    reports: Mapping[str, Report] = field(default_factory=dict)
    applied: Mapping[str, Applied] = field(default_factory=dict)
    writable: bool = True
