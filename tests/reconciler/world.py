"""A plant without processes: a process table, locks and clocks that obey the rules of Linux, and one reconciler.

Passes go the way of ``reconciler.loop.reconcile``: ends, history, plan, act, history. Nature (crashes, deaf
processes, boots) and people (edits, removals) are methods; what must never happen is asserted where it would.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from reconciler import restarts
from reconciler.changes import live_file
from reconciler.digest import split
from reconciler.model import (
    Action,
    Applied,
    Desired,
    History,
    Holder,
    Instance,
    LiveFile,
    Manifest,
    ManifestError,
    Observed,
    Plan,
    Points,
    ProcessId,
    Report,
    RestartPolicy,
    SpecFile,
    Step,
    Stopping,
    Termination,
)
from reconciler.plan import plan
from tests.reconciler.given import NODE

EPOCH_S = 1_800_000_000.0
PASS_EVERY_S = 5.0
GAP_S = 15.0

Ending = Literal["at once", "slowly", "never"]
"""How a process takes the signal that asks it to stop."""


@dataclass
class Process:
    """One start of a name as the kernel has it; `children` are others of its session."""

    name: str
    instance: str
    digest: str
    pid: int
    started: float
    ending: Ending
    children: int = 0
    leads: bool = True
    asked_at: float | None = None
    stopping: Stopping | None = None
    exit: tuple[int | None, int | None] = (None, None)

    @property
    def alive(self) -> bool:
        """Whether any process of it lives."""
        return self.leads or self.children > 0

    def seen(self, boot_id: str) -> Instance:
        """What a look at the table shows of it."""
        pids = [self.pid] if self.leads else []
        pids += [self.pid + n for n in range(1, self.children + 1)]
        members = tuple(ProcessId(boot_id, "ns", pid, 1) for pid in pids)
        leader = members[0] if self.leads else None
        return Instance(
            self.name, self.instance, self.digest, leader, members, self.started, 0.0, stopping=self.stopping
        )


@dataclass
class World:
    """The plant: manifests as read, the table as the kernel has it, files as they lie on disk."""

    desired: Desired = field(default_factory=lambda: Desired({}))
    now: float = 1000.0
    processes: list[Process] = field(default_factory=list)
    strangers: set[str] = field(default_factory=set)
    readable: bool = True
    queued: dict[str, int] = field(default_factory=dict)
    fingerprints: dict[str, str] = field(default_factory=dict)
    specs: dict[tuple[str, str], SpecFile] = field(default_factory=dict)
    lives: dict[str, LiveFile] = field(default_factory=dict)
    ran_last: dict[str, str] = field(default_factory=dict)
    histories: Mapping[str, History] = field(default_factory=dict)
    before: Plan | None = None
    boot: int = 1
    passes_since: float = 1000.0
    looked: float = 1000.0
    untold: list[Termination] = field(default_factory=list)
    failed: dict[str, Termination] = field(default_factory=dict)
    referred: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    # --- people -------------------------------------------------------------------------------------------------

    def declare(self, manifest: Manifest) -> None:
        """Write a valid document; of a broken one it is the repair."""
        manifests = {**self.desired.manifests, manifest.name: manifest}
        self.desired = replace(
            self.desired,
            manifests=manifests,
            broken={n: e for n, e in self.desired.broken.items() if n != manifest.name},
            unconfirmed=self.desired.unconfirmed - {manifest.name},
        )

    def spoil(self, name: str) -> None:
        """Break a document; what was good stays in force."""
        error = ManifestError(f"{name}.yaml", 1, 1, "spec", "wrong")
        self.desired = replace(self.desired, broken={**self.desired.broken, name: error})

    def remove(self, *names: str) -> None:
        """Delete documents; the next look does not believe it yet."""
        self.desired = replace(self.desired, unconfirmed=self.desired.unconfirmed | set(names))

    def confirm(self) -> None:
        """A second look that does not find them."""
        gone = self.desired.unconfirmed
        self.failed = {n: end for n, end in self.failed.items() if n not in gone}
        self.desired = replace(
            self.desired,
            manifests={n: m for n, m in self.desired.manifests.items() if n not in gone},
            broken={n: e for n, e in self.desired.broken.items() if n not in gone},
            unconfirmed=frozenset(),
        )

    # --- nature -------------------------------------------------------------------------------------------------

    def alive(self, name: str) -> list[Process]:
        """What lives under a name."""
        return [p for p in self.processes if p.name == name]

    def end(self, process: Process, code: int | None, signal: int | None = None) -> None:
        """Its first process ends; the rest of its session lives on."""
        process.leads = False
        process.exit = (code, signal)
        self._bury(process)

    def pass_time(self, seconds: float) -> None:
        """Let time go by; who takes long to stop stops then."""
        self.now += seconds
        for process in list(self.processes):
            if process.ending == "slowly" and process.asked_at is not None:
                process.children = 0
                self.end(process, 0)

    def restart_reconciler(self) -> None:
        """Another reconciler takes over: it knows what is on disk and what the table shows."""
        texts = {name: json.dumps(restarts.history_to_json(h)) for name, h in self.histories.items()}
        self.histories = {name: restarts.history_from_json(json.loads(text)) for name, text in texts.items()}
        unseen = [replace(end, exit_code=None, signal=None, observed_by="none") for end in self.untold]
        self.untold = [replace(end, ended=self.now, lived_s=None) for end in unseen]
        self.passes_since = self.looked = self.now
        self.before = None

    def reboot(self) -> None:
        """All processes are gone and the monotonic clock begins anew."""
        for process in list(self.processes):
            process.children, process.stopping = 0, None
            self.end(process, None)
        self.boot += 1
        self.now = 10.0
        self.before = None
        self.untold = [replace(end, earlier_boot=True) for end in self.untold]
        self.strangers.clear()
        self.failed.clear()
        self.restart_reconciler()

    def _bury(self, process: Process) -> None:
        if process.alive:
            return
        self.processes.remove(process)
        code, signal = process.exit
        self.untold.append(
            Termination(
                process.name,
                process.instance,
                process.digest,
                code,
                signal,
                "wait",
                EPOCH_S + self.now,
                self.now,
                self.now - process.started,
                process.stopping,
            )
        )

    # --- the reconciler -----------------------------------------------------------------------------------------

    @property
    def boot_id(self) -> str:
        """Of the boot that the clock belongs to."""
        return f"boot-{self.boot}"

    def observe(self) -> Observed:
        """A look at the table; unread, it shows what was known and tells no end."""
        instances: dict[str, tuple[Instance, ...]] = {}
        applied = {n: Applied(self.specs[n, d], self.lives[n]) for n, d in self.ran_last.items()}
        for p in self.processes:
            instances[p.name] = (*instances.get(p.name, ()), p.seen(self.boot_id))
            applied[p.name] = Applied(self.specs[p.name, p.digest], self.lives[p.name])
        reports = {
            p.name: Report(p.name, p.instance, p.digest, p.pid, self.boot_id, self.now, self.now, cycled=True)
            for p in self.processes
            if p.leads
        }
        for sink, points in self.queued.items():
            queued = {"a": Points(points, queued=points)}
            report = reports.get(sink) or Report(sink, "", "", 0, self.boot_id, self.now, self.now)
            reports[sink] = replace(report, points=queued)
        holders = {n: Holder(1, "stranger") for n in self.strangers if n not in instances}
        ended, self.untold = (tuple(self.untold), []) if self.readable else ((), self.untold)
        return Observed(self.boot_id, self.readable, instances, holders, ended, reports, applied)

    def decide(self, desired: Desired, seen: Observed, *, force: bool = False) -> Plan:
        """What a pass over `desired` would do, whether or not it knows what the last one decided."""
        decide = partial(
            plan,
            desired,
            seen,
            self.histories,
            self.now,
            wall=EPOCH_S + self.now,
            node=NODE,
            passes_since=self.passes_since,
            fingerprints={n: self.fingerprints.get(n, "") for n, h in self.histories.items() if h.held},
            force=force,
        )
        decided = decide(before=self.before)
        assert decided == decide()
        return decided

    def pass_once(self, *, force: bool = False) -> tuple[Observed, Plan]:
        """One pass; returns what it saw and did."""
        if self.now - self.looked > GAP_S:
            self.passes_since = self.now
        self.looked = self.now
        seen = self.observe()
        self._remember_ends(seen)
        decided = self.decide(self.desired, seen, force=force)
        whole = replace(self.desired, broken={})
        assert not self.desired.broken or decided == self.decide(whole, seen, force=force)
        histories = dict(self.histories)
        for step in decided.acting:
            histories[step.name] = self._act(step, histories.get(step.name, History()))
        self.histories = restarts.after_pass(histories, decided, seen.boot_id, self.now)
        self.before = decided
        return seen, decided

    def _remember_ends(self, seen: Observed) -> None:
        histories = {name: restarts.in_boot(h, seen.boot_id) for name, h in self.histories.items()}
        for end in seen.ended:
            if not end.earlier_boot and (end.stopped is None or end.stopped.reason == "LeaderDead"):
                self.failed[end.name] = end
            manifest = self.desired.manifests.get(end.name)
            histories[end.name] = restarts.after_end(
                histories.get(end.name, History(boot_id=seen.boot_id)),
                end,
                manifest.restart if manifest else RestartPolicy(),
                now=self.now,
                wall=EPOCH_S + self.now,
                jitter=0.0,
                completes=manifest is not None and manifest.type == "exec",
            )
        self.histories = histories

    def _act(self, step: Step, history: History) -> History:
        match step.action:
            case Action.START:
                return self._start(step, history)
            case Action.STOP:
                for process in self._meant(step):
                    assert process.stopping is None, f"{step.name} is asked to stop twice"
                    self._stop(process, step)
            case Action.KILL:
                for process in self._meant(step):
                    assert process.stopping and self.now >= process.stopping.kill_at, (
                        "killed within its grace"
                    )
                    process.children = 0
                    self.end(process, None, 9)
            case Action.UPDATE:
                assert step.manifest
                self.lives[step.name] = live_file(self.desired, step.manifest)
        return history

    def _start(self, step: Step, history: History) -> History:
        manifest, name = step.manifest, step.name
        assert manifest is not None, f"{name} is started as nothing"
        assert not self.alive(name), f"{name} is started beside a living one"
        assert name not in self.strangers, f"{name} is started against a held lock"
        number = next(self.numbers)
        if name in self.desired.manifests:
            restart, _, _ = split(manifest.kind, manifest.spec)
            spec = SpecFile(manifest.kind, name, manifest.digest, restart)
            assert self.specs.setdefault((name, manifest.digest), spec) == spec, "a spec file is immutable"
            self.lives[name] = live_file(self.desired, manifest)
        else:
            assert manifest.digest == self.ran_last[name], f"{name} is restarted as something else"
        self.ran_last[name] = manifest.digest
        self._check_restart(name, manifest.digest)
        self.referred[name] = self.fingerprints.get(name, "")
        self.processes.append(
            Process(name, f"{name}-{number}", manifest.digest, 1000 * number, self.now, "at once")
        )
        return restarts.after_start(history, manifest.digest, self.fingerprints.get(name, ""), self.now)

    def _check_restart(self, name: str, digest: str) -> None:
        """Unless something changed, what failed is not started again at once, and with exit 78 not at all."""
        end = self.failed.pop(name, None)
        if end is None or end.digest != digest or self.referred[name] != self.fingerprints.get(name, ""):
            return
        assert end.exit_code != 78, f"{name} is held by exit 78"
        if end.exit_code != 0:
            assert self.now >= end.ended + 0.9, f"{name} is started again without a back-off"

    def _stop(self, process: Process, step: Step) -> None:
        process.stopping = Stopping(self.now, self.now + step.stop.grace_s, step.reason)
        process.asked_at = self.now
        if process.ending == "at once":
            process.children = 0
            if process.leads:
                self.end(process, 0)
            else:
                self._bury(process)

    def _meant(self, step: Step) -> list[Process]:
        ids = {i.instance for i in step.instances}
        found = [p for p in self.processes if p.instance in ids]
        assert len(found) == len(ids), f"{step.name}: acts on what does not live"
        return found
