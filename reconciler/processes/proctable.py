"""Reading /proc: which processes carry our state directory in their environment or arguments, and who they
are.

Reads return None for a process that has gone or belongs to another user; any other failure raises OSError,
because a table that was not read whole must never be taken for one in which a process is missing.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

from collectors.contract import ENV_DIGEST, ENV_INSTANCE, ENV_NAME, ENV_STATE_DIR, StateDir
from collectors.nursery.wire import NURSERY

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_CHUNK = 65536
PF_KTHREAD = 0x00200000
LOOKS_AGAIN, LOOK_AGAIN_S = 20, 0.001
"""A process inside execve(2), or dying, shows no environment for a moment: it is looked at again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a process says it is, in its environment or (`instance` empty) its arguments only."""

    name: str
    instance: str
    digest: str


@dataclass(frozen=True, slots=True)
class Stat:
    """/proc/PID/stat (proc_pid_stat(5)); the start in clock ticks since boot.

    `exit_status` is as wait(2) tells it; 0 may also mean that it is not told. `cpu_s` is of all its threads, user and
    system; `resident_pages` are as exact as the kernel's batched count.
    """

    zombie: bool
    parent: int
    session: int
    start_ticks: int
    exit_status: int
    cpu_s: float
    resident_pages: int

    @property
    def age_s(self) -> float:
        """Seconds since the process began."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) - self.start_ticks / TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Leader:
    """A process that leads its session and is known to live, by its pidfd: it is what it was, however often we look."""

    claim: Claim
    start_ticks: int


@dataclass(frozen=True, slots=True)
class Table:
    """One pass over /proc: claims by pid, pids by session, and whether everything could be read.

    `leaders` are those that were known before, by pid; of them nothing but their being there was read.
    """

    claims: dict[int, Claim] = field(default_factory=dict)
    sessions: dict[int, list[int]] = field(default_factory=dict)
    problem: str | None = None
    leaders: Mapping[int, Leader] = field(default_factory=dict)

    def strangers(self, sessions: Collection[int]) -> dict[int, int]:
        """Those who claim nothing and are in none of `sessions`: their own sessions by pid."""
        return {
            pid: session
            for session, members in self.sessions.items()
            if session not in sessions
            for pid in members
            if pid not in self.claims
        }


def pids() -> Iterator[int]:
    """Every process visible from here, lowest first."""
    return (int(entry) for entry in os.listdir("/proc") if entry.isdigit())  # noqa: PTH208  (hot path)


def look(
    state: StateDir,
    leaders: Mapping[int, Leader],
    strangers: Mapping[int, int] = MappingProxyType({}),
    before: Table | None = None,
) -> Table:
    """One pass, about 20 µs a process that is neither of `leaders` nor of `strangers` (their sessions by pid); with
    `before` only over those that it has not seen, which are added to it.
    """
    table = before or Table(leaders=leaders)
    seen = {pid for members in table.sessions.values() for pid in members}
    marks = _Marks.of(state)
    for pid in pids():
        if pid in seen:
            continue
        claim = None
        if known := leaders.get(pid):
            session, claim = pid, known.claim
        elif (session := strangers.get(pid, -1)) < 0:
            try:
                session = os.getsid(pid)
                if session or not _is_kernel_thread(pid):  # or of a session outside our PID namespace
                    claim = marks.claim(pid)
            except ProcessLookupError:
                continue
            except OSError as error:
                return replace(table, problem=f"cannot read /proc/{pid}: {error}")
        table.sessions.setdefault(session, []).append(pid)
        if claim:
            table.claims[pid] = claim
    return table


def claim_of(pid: int, state: StateDir) -> Claim | None:
    """What one process says it is, where that is one of ours. Raises OSError."""
    return _Marks.of(state).claim(pid)


def has_variable(pid: int, name: str, value: str) -> bool:
    """Whether the environment of a process says ``name=value``. Raises OSError."""
    environ = _read(f"/proc/{pid}/environ") or b""
    return os.fsencode(f"{name}={value}") in environ.split(b"\0")


def stat(pid: int) -> Stat | None:
    """Raises OSError."""
    fields = _stat_fields(pid)
    if not fields:
        return None
    return Stat(
        zombie=fields[0] in b"ZX",
        parent=int(fields[1]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
        exit_status=int(fields[49]),
        cpu_s=(int(fields[11]) + int(fields[12])) / TICKS_PER_S,
        resident_pages=int(fields[21]),
    )


def command(pid: int) -> tuple[str, ...]:
    """The arguments of a process, empty where they cannot be read."""
    data = _read(f"/proc/{pid}/cmdline") or b""
    return tuple(part.decode(errors="replace") for part in data.rstrip(b"\0").split(b"\0")) if data else ()


def is_nursery(pid: int, state: StateDir) -> bool:
    """Whether it is one of this directory, or a child of it that does not carry its own name yet. Raises OSError."""
    mark = b"\0-m\0" + NURSERY.encode() + b"\0" + os.fsencode(state.root) + b"\0"
    return mark in (_read(f"/proc/{pid}/cmdline") or b"")


def nurseries(state: StateDir) -> list[int]:
    """Every nursery of this directory. Raises OSError."""
    return [pid for pid in pids() if is_nursery(pid, state)]


@dataclass(frozen=True, slots=True)
class _Marks:
    """The bytes that a process of this state directory carries."""

    environ: bytes
    arguments: bytes

    @classmethod
    def of(cls, state: StateDir) -> _Marks:
        root = os.fsencode(state.root)
        specs = os.fsencode(state.root / "specs")
        return cls(ENV_STATE_DIR.encode() + b"=" + root + b"\0", b"\0-m\0collectors\0" + specs + b"/")

    def claim(self, pid: int) -> Claim | None:
        environ = _read(f"/proc/{pid}/environ")
        for _ in range(LOOKS_AGAIN):
            if environ or not _in_between(pid):
                break
            time.sleep(LOOK_AGAIN_S)
            environ = _read(f"/proc/{pid}/environ")
        if environ is None:
            return None
        if self.environ in environ and _value(ENV_STATE_DIR, environ) == self.environ.partition(b"=")[2][:-1]:
            name, instance, digest = (
                os.fsdecode(_value(k, environ)) for k in (ENV_NAME, ENV_INSTANCE, ENV_DIGEST)
            )
            if name and instance:
                return Claim(name, instance, digest)
        arguments = _read(f"/proc/{pid}/cmdline")
        if arguments and self.arguments in arguments:
            file = os.fsdecode(arguments.partition(self.arguments)[2].partition(b"\0")[0])
            name, _, digest = file.removesuffix(".json").partition(".")
            if name and digest and "/" not in file:
                return Claim(name, "", digest)
        return None


def _value(variable: str, environ: bytes) -> bytes:
    """Of a variable in an environment, which may end in kilobytes of nothing; empty where it has none."""
    found = re.search(rb"(?:\A|\0)" + variable.encode() + rb"=([^\0]*)", environ)
    return found[1] if found else b""


def _in_between(pid: int) -> bool:
    """Whether a process that shows no environment is inside execve(2), or dying with its files still open."""
    if _read(f"/proc/{pid}/cmdline"):
        return False
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] not in b"ZX" and not int(fields[6]) & PF_KTHREAD


def _is_kernel_thread(pid: int) -> bool:
    fields = _stat_fields(pid)
    return bool(fields) and bool(int(fields[6]) & PF_KTHREAD)


def _stat_fields(pid: int) -> list[bytes]:
    """From the state on, the third of proc_pid_stat(5); empty where the process has gone."""
    data = _read(f"/proc/{pid}/stat") or b""
    return data[data.rfind(b")") + 2 :].split()  # the name before may hold blanks and brackets


def _read(path: str) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    try:
        data = part = os.read(fd, _CHUNK)
        while len(part) == _CHUNK:
            data += (part := os.read(fd, _CHUNK))
        return data
    except (ProcessLookupError, PermissionError):
        return None
    finally:
        os.close(fd)


def pid_namespace() -> str:
    """The PID namespace whose numbers we speak."""
    return str(Path("/proc/self/ns/pid").readlink())
