"""The starts that live: found at each look, held by pidfd between looks, signalled only when proven again."""

from __future__ import annotations

import logging
import os
import select
import signal
from collections.abc import Mapping
from dataclasses import replace

from collectors.contract import StateDir, boot_id
from reconciler.model import Holder, ProcessId
from reconciler.processes import locks, pidfd, proctable
from reconciler.processes.intents import Intents
from reconciler.processes.members import Boot, Group, Key, group
from reconciler.processes.proctable import Claim, Leader
from reconciler.processes.runs import Run, follow_new
from reconciler.processes.spawn import Born

logger = logging.getLogger("daq.processes")

BIRTH_S = 5.0
"""A lock holder younger than this may be between fork and exec, with the environment of its parent."""


class Following:
    """`runs` are the starts known to live at the last look; `wakes` becomes readable when one of them
    dies.
    """

    def __init__(self, state: StateDir, intents: Intents) -> None:
        self._state = state
        self._intents = intents
        self.boot = Boot(boot_id(), proctable.pid_namespace())
        self.runs: dict[Key, Run] = {}
        self.wakes = select.epoll()
        self._strangers: dict[int, int] = {}

    def close(self) -> None:
        """Let go of all processes; they live on."""
        for run in self.runs.values():
            run.close()
        self.runs.clear()
        self.wakes.close()

    def drain(self) -> None:
        """Make `wakes` unreadable again."""
        while self.wakes.poll(0):
            pass

    def update(self, groups: Mapping[Key, Group]) -> list[Run]:
        """Follow what a look has found; returns the runs that have ended. Raises OSError, then none has."""
        for key, found in groups.items():
            run = self.runs.get(key) or self._adopt(key, found)
            run.follow(found, self.wakes)
        return [self.runs.pop(key) for key in self.runs.keys() - groups.keys()]

    def look(self, *, quick: bool = False) -> dict[Key, Group]:
        """All live starts. Before one counts as gone a second look, at what was born since, confirms it: a process
        may fork behind the first. A `quick` look does not read again who was a stranger at the last other one, so one
        that took a name by execve(2) since is found by the next.

        Raises OSError.
        """
        leaders = self._living_leaders()
        strangers = self._strangers if quick else {}
        table = proctable.look(self._state, leaders, strangers)
        groups = self._groups(table)
        if self.runs.keys() - groups.keys():
            groups = self._groups(proctable.look(self._state, leaders, strangers, table)) | groups
        found = table.strangers({session for run in self.runs.values() for session in run.sessions})
        self._strangers = {pid: found[pid] for pid in found.keys() & strangers.keys()} if quick else found
        return groups

    def forget_strangers(self) -> None:
        """One of them may be ours by now."""
        self._strangers = {}

    def _living_leaders(self) -> dict[int, Leader]:
        """By pid, those that lead a session of their own and whose pidfd says that they live."""
        held = {run.fd: run for run in self.runs.values() if run.fd is not None}
        poll = select.poll()
        for fd in held:
            poll.register(fd, select.POLLIN)
        dead = {fd for fd, _ in poll.poll(0)}
        return {
            run.leader.pid: Leader(Claim(run.key.name, run.key.instance, run.digest), run.leader.start_ticks)
            for fd, run in held.items()
            if fd not in dead and run.leader and run.leader.pid in run.sessions
        }

    def _groups(self, table: proctable.Table) -> dict[Key, Group]:
        if table.problem:
            raise OSError(table.problem)
        led, alone = {}, {}
        for key, run in self.runs.items():
            if run.leader is None:
                continue
            if run.group and run.group.members == (run.leader,) and run.group.sessions == {run.leader.pid}:
                alone[run.leader.pid] = key, run.group
            if run.leader.pid in run.sessions:
                led[run.leader.pid] = run.leader, key, run.digest
        return group(table, led, self.boot, alone)

    def holders(self, groups: dict[Key, Group]) -> dict[str, Holder]:
        """Who holds the lock of a name that has no process. A start being born, or a session that a start of
        ours led, is added to `groups` instead. Raises OSError.
        """
        living = {key.name for key in groups}
        holders = {}
        directory = self._state.root / "locks"
        for name in os.listdir(directory) if directory.exists() else ():  # noqa: PTH208  (hot path)
            if name in living or not locks.is_held(path := directory / name):
                continue
            holder = locks.holder(path)
            ours = self._ours_by_lock(name, holder)
            if ours:
                groups[ours[0]] = ours[1]
            else:
                holders[name] = holder
        return holders

    def _ours_by_lock(self, name: str, holder: Holder) -> tuple[Key, Group] | None:
        intent = self._intents.by_name.get(name)
        stat = proctable.stat(holder.pid) if holder.pid else None
        if intent is None or stat is None or holder.pid is None or intent.boot_id != self.boot.boot_id:
            return None
        if proctable.is_nursery(holder.pid, self._state):  # about to fork: the child is what comes of it
            return None
        led = intent.leader is not None and intent.leader.pid == stat.session
        born = intent.leader is None and stat.age_s < BIRTH_S
        if not led and not born:
            return None
        members = (self.boot.process(holder.pid, stat.start_ticks),)
        return Key(name, intent.instance), Group(
            intent.digest, members, frozenset([stat.session] if led else [])
        )

    def _adopt(self, key: Key, found: Group) -> Run:
        """Follow a start that another reconciler made, or a person."""
        intent = self._intents.by_name.get(key.name)
        if intent and intent.instance != key.instance:
            intent = None
        leader = intent.leader if intent else None
        if leader is None:
            leading = [p for p in found.members if p.pid in found.sessions]
            leader = min(leading or found.members, key=lambda p: p.start_ticks)
        run = follow_new(key, found, leader, self.wakes)
        if intent:
            run.log_from = intent.log_from
            if intent.sent:  # else it is asked again, if that is still wanted
                run.asked = run.stopping = intent.stopping
        self.runs[key] = run
        return run

    def begin(self, key: Key, born: Born, command: tuple[str, ...]) -> None:
        """Follow a new child. What fails here is mended by the next look, which finds it like anybody's."""
        pid, fd = born
        intent = self._intents.by_name[key.name]
        try:
            stat = proctable.stat(pid)
            if stat is None or (fd is not None and pidfd.is_reaped(fd)):
                return
            leader = self.boot.process(pid, stat.start_ticks)
            found = Group(intent.digest, (leader,), frozenset([pid]))
            run = follow_new(key, found, leader, self.wakes)
            run.command = command  # /proc may not show it yet
            run.log_from = intent.log_from
            self.runs[key] = run
            self._intents.put(key.name, replace(intent, leader=leader))
        except OSError as error:
            logger.warning("%s: cannot follow pid %d yet: %s", key.name, pid, error)
        finally:
            if fd is not None:
                os.close(fd)

    def send(self, run: Run, process: ProcessId, number: signal.Signals) -> None:
        """Signal one process of a run, if it still is that process and still of that run."""

        def is_it(pid: int) -> bool:
            stat = proctable.stat(pid)
            if stat is None or stat.start_ticks != process.start_ticks:
                return False
            if stat.session in run.sessions:
                return True
            claim = proctable.claim_of(pid, self._state)
            return (
                claim is not None and claim.name == run.key.name and claim.instance in ("", run.key.instance)
            )

        try:
            pidfd.send(process.pid, number, is_it)
        except OSError as error:
            logger.error("%s: cannot send %s to pid %d: %s", run.key.name, number.name, process.pid, error)
