"""A start that lives, as this reconciler follows it: its leader held by pidfd, the loop woken when it
dies.
"""

from __future__ import annotations

import os
import select
import time
from dataclasses import dataclass

from reconciler.model import Instance, ProcessId, Stopping
from reconciler.processes import pidfd, proctable
from reconciler.processes.members import Group, Key


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU in percent of one core since the sample before, resident memory; of all members."""

    cpu_percent: float = 0.0
    memory_bytes: int = 0


@dataclass(slots=True)
class Run:
    """One start. `leader` stays known after its death; `fd` holds it, dead or alive, until the run has ended.

    `asked` is the first stop of this run, `stopping` the one under way: a leader that dies while others of
    its session live on leaves no stop under way, for those were not asked yet.
    """

    key: Key
    digest: str
    leader: ProcessId | None
    fd: int | None
    command: tuple[str, ...]
    started: float
    started_at: float
    members: tuple[ProcessId, ...]
    sessions: frozenset[int]
    group: Group | None = None
    """What the last look found of it."""
    log_from: int = 0
    log_size: int = -1
    wrote: float = 0.0
    stopping: Stopping | None = None
    asked: Stopping | None = None
    died: float | None = None
    usage: Usage = Usage()
    _watched: int | None = None
    """pidfd of a member that is watched in place of a dead leader."""
    _shown: tuple[tuple[object, ...], tuple[Instance]] | None = None
    """The instance beside what it was made of."""

    @property
    def leader_alive(self) -> bool:
        """Whether the first process lives."""
        return self.leader is not None and self.leader in self.members

    def follow(self, group: Group, wakes: select.epoll) -> None:
        """Take over what a look has found. Raises OSError."""
        self.group = group
        self.members = group.members
        self.sessions |= group.sessions
        if self.leader and self.leader_alive:
            self.command = self.command or proctable.command(self.leader.pid)  # empty while still in exec
            return
        if self.died is None:
            self.died = time.monotonic()
            self.stopping = None
        if self._watched is None or pidfd.is_dead(self._watched):
            self._unwatch()
            self._watched = pidfd.open_pidfd(self.members[0].pid)
            if self._watched is not None:
                wakes.register(self._watched, select.EPOLLIN | select.EPOLLONESHOT)

    def heard(self, log_size: int) -> None:
        """Note how long its log is now."""
        if log_size != self.log_size:
            self.log_size, self.wrote = log_size, time.monotonic()

    def close(self) -> None:
        """Let go of the processes."""
        self._unwatch()
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def instances(self) -> tuple[Instance]:
        """The run as the planner sees it, alone; the same object for as long as nothing about it changes."""
        varying = self.members, self.wrote, self.command, self.stopping, self.usage
        if self._shown is None or self._shown[0] != varying:
            instance = Instance(
                name=self.key.name,
                instance=self.key.instance,
                digest=self.digest,
                leader=self.leader if self.leader_alive else None,
                members=self.members,
                started=self.started,
                started_at=self.started_at,
                wrote=self.wrote,
                command=self.command,
                stopping=self.stopping,
                cpu_percent=self.usage.cpu_percent,
                memory_bytes=self.usage.memory_bytes,
            )
            self._shown = varying, (instance,)
        return self._shown[1]

    def _unwatch(self) -> None:
        if self._watched is not None:
            os.close(self._watched)
            self._watched = None


def follow_new(key: Key, group: Group, leader: ProcessId | None, wakes: select.epoll) -> Run:
    """Begin to follow a start; `leader` None where it is not known. Raises OSError."""
    first = leader if leader in group.members else group.members[0]
    assert first is not None
    stat = proctable.stat(first.pid)
    age = stat.age_s if stat else 0.0
    run = Run(
        key=key,
        digest=group.digest,
        leader=leader,
        fd=None,
        command=proctable.command(first.pid),
        started=time.monotonic() - age,
        started_at=time.time() - age,
        members=group.members,
        sessions=group.sessions,
    )
    if run.leader_alive and leader is not None:
        run.fd = _hold(leader)
        if run.fd is not None:
            wakes.register(run.fd, select.EPOLLIN | select.EPOLLONESHOT)
    return run


def _hold(process: ProcessId) -> int | None:
    """A pidfd of exactly this process, None where it has gone."""
    fd = pidfd.open_pidfd(process.pid)
    if fd is None:
        return None
    stat = proctable.stat(process.pid)
    if stat is None or stat.start_ticks != process.start_ticks:
        os.close(fd)
        return None
    return fd
