"""Which processes belong to which start of which name, as proven by one look at the process table."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple

from reconciler.model import ProcessId
from reconciler.processes import pidfd, proctable
from reconciler.processes.proctable import Claim, Table


class Key(NamedTuple):
    """One start of one name."""

    name: str
    instance: str


@dataclass(frozen=True, slots=True)
class Group:
    """The live processes of one start, lowest pid first, and the sessions that are wholly its own."""

    digest: str
    members: tuple[ProcessId, ...]
    sessions: frozenset[int]


@dataclass(frozen=True, slots=True)
class Boot:
    """What makes a pid and its start ticks unique for all time."""

    boot_id: str
    pid_namespace: str

    def process(self, pid: int, start_ticks: int) -> ProcessId:
        """The process that began then under that pid."""
        return ProcessId(self.boot_id, self.pid_namespace, pid, start_ticks)


def group(
    table: Table,
    led: Mapping[int, tuple[ProcessId, Key, str]],
    boot: Boot,
    alone: Mapping[int, tuple[Key, Group]],
) -> dict[Key, Group]:
    """Every start with a live process: those that claim it, and all of the sessions that such a process
    leads.

    `led` are sessions known from before, by their id: the process that led each, its start and digest. A
    session outlives its leader, and its number is not given away while a member lives. A session that a
    claiming process merely visits (a person's shell) stays out of it. `alone` are starts of one process, as they were
    last, by its pid: hundreds that nothing has happened to cost next to nothing. Raises OSError.
    """
    own = _own_processes(table)
    see = cache(partial(_seen, table))  # one answer for all of this look
    groups = _unchanged(table, alone)
    owners: dict[int, tuple[Key, str]] = {}
    for session, (leader, key, digest) in led.items():
        if key in groups:
            continue
        now = see(session) if session in table.sessions else None
        if now is None or now.start_ticks == leader.start_ticks:
            owners[session] = key, digest
    alive: dict[int, ProcessId] = {}
    found: dict[Key, tuple[str, set[int], set[int]]] = {}

    def add(key: Key, digest: str, pids: Iterable[int], session: int | None) -> None:
        _, members, sessions = found.setdefault(key, (digest, set(), set()))
        members.update(pids)
        if session is not None:
            sessions.add(session)

    for pid, claim in table.claims.items():
        if pid in table.leaders and Key(claim.name, claim.instance) in groups:
            continue
        seen = see(pid)
        if pid in own or seen is None:
            continue
        key = Key(claim.name, claim.instance or f"{pid}.{seen.start_ticks}")
        if seen.session == pid:
            owners[pid] = key, claim.digest
        if not (claim.instance == "" and seen.session in owners):
            add(key, claim.digest, [pid], None)
    for session, (key, digest) in owners.items():
        pids = [
            p for p in table.sessions.get(session, ()) if p not in own and _agrees(table.claims.get(p), key)
        ]
        if pids:
            add(key, digest, pids, session)
    for key, (digest, members, sessions) in found.items():
        for pid in members - alive.keys():
            seen = see(pid)
            if seen and seen.living:
                alive[pid] = boot.process(pid, seen.start_ticks)
        living = tuple(alive[p] for p in sorted(members) if p in alive)
        if living:
            groups[key] = Group(digest, living, frozenset(sessions))
    return groups


def _unchanged(table: Table, alone: Mapping[int, tuple[Key, Group]]) -> dict[Key, Group]:
    """Those of `alone` whose leader lives, still the only one of its session, and whom nobody else claims to be of."""
    others = {
        Key(claim.name, claim.instance) for pid, claim in table.claims.items() if pid not in table.leaders
    }
    return {
        key: known
        for pid, (key, known) in alone.items()
        if pid in table.leaders and table.sessions.get(pid) == [pid] and key not in others
    }


class _Seen(NamedTuple):
    session: int
    start_ticks: int
    living: bool


def _seen(table: Table, pid: int) -> _Seen | None:
    leader = table.leaders.get(pid)
    if leader:
        return _Seen(pid, leader.start_ticks, living=True)
    stat = proctable.stat(pid)
    if stat is None:
        return None
    return _Seen(stat.session, stat.start_ticks, living=not (stat.zombie and pidfd.is_dead_pid(pid)))


def _agrees(claim: Claim | None, key: Key) -> bool:
    """Whether a session's member may be counted to the start that leads it: it claims no other one."""
    return claim is None or claim.instance in ("", key.instance)


def _own_processes(table: Table) -> set[int]:
    """Ourselves and our helpers: children in our own session, whatever environment we were started
    with.
    """
    me = os.getpid()
    own = {me}
    parents = {pid: s.parent for pid in table.sessions.get(os.getsid(0), ()) if (s := proctable.stat(pid))}
    for pid in parents:
        ancestor: int | None = pid
        while ancestor is not None and ancestor != me:
            ancestor = parents.get(ancestor)
        if ancestor == me:
            own.add(pid)
    return own
