"""Whatever people and nature do in whatever order, the promises hold at every pass, and in the end it converges."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from reconciler.case import selects
from reconciler.diff import exit_code
from reconciler.digest import digest
from reconciler.manifest import local_sink, manifest_of
from reconciler.model import Action, Desired, History, Kind, Manifest, Observed, Plan
from reconciler.prune import ANNOTATION
from reconciler.status import is_converged, process_status
from tests.reconciler.given import NODE
from tests.reconciler.world import EPOCH_S, PASS_EVERY_S, Ending, World

COLLECTORS = ("a", "b", "c", "d", "e")
JOB, SINK = "job", "plant"
NAMES = (*COLLECTORS, JOB, SINK)
ROUNDS = 60

a_name = st.sampled_from(NAMES)
endings = st.sampled_from(("at once", "slowly", "never"))
seconds = st.sampled_from((0.1, 1.0, 5.0, 11.0, 70.0, 700.0))


def document(name: str, version: int, spec: dict[str, Any], protected: bool = False) -> Manifest:
    kind: Kind = "Sink" if name == SINK else "Collector"
    kinds: dict[str, dict[str, Any]] = {
        SINK: {"type": "sqlite", "path": f"{version}"},
        JOB: {"type": "exec", "command": [f"{version}"]},
    }
    whole = {**kinds.get(name, {"type": "modbus", "interval": f"{version}s"}), **spec}
    metadata = {"name": name, "annotations": {ANNOTATION: "disabled"} if protected else {}}
    return manifest_of(kind, f"{name}.yaml", 1, metadata, whole, digest_of=digest(kind, name, whole))


def converged(world: World, seen: Observed, decided: Plan) -> bool:
    """What `daq apply` would answer."""
    statuses = [
        process_status(
            s,
            world.desired,
            seen,
            world.histories.get(s.name, History()),
            node=NODE,
            now=world.now,
            wall=EPOCH_S + world.now,
        )
        for s in decided.steps
    ]
    return is_converged(decided.steps, statuses, world.desired)


class Plant(RuleBasedStateMachine):
    """Each rule is something that happens; `look` is a pass."""

    def __init__(self) -> None:
        super().__init__()
        local = local_sink()
        self.world = World(Desired({local.name: local}))

    @initialize(names=st.sets(a_name))
    def a_plant_that_runs(self, names: set[str]) -> None:
        for each in sorted(names):
            self.world.declare(document(each, 1, {"sinks": [SINK]} if each in "ab" and SINK in names else {}))
        self.look(force=False)

    # --- people -------------------------------------------------------------------------------------------------

    @rule(
        name=a_name,
        version=st.integers(1, 2),
        grace=st.sampled_from(("1s", "10s")),
        state=st.sampled_from(("running", "running", "running", "stopped")),
        site=st.sampled_from(("north", "north", "north", "south")),
        restart=st.sampled_from(
            ({}, {"policy": "on-failure"}, {"policy": "never"}, {"maxRestarts": 2, "window": "0s"})
        ),
        to_plant=st.booleans(),
        protected=st.booleans(),
    )
    def write(
        self,
        *,
        name: str,
        version: int,
        grace: str,
        state: str,
        site: str,
        restart: dict[str, Any],
        to_plant: bool,
        protected: bool,
    ) -> None:
        spec: dict[str, Any] = {"stop": {"grace": grace}, "nodeSelector": {"site": site}, "state": state}
        if name in COLLECTORS and to_plant:
            spec["sinks"] = [SINK]
        spec["restart"] = restart
        self.world.declare(document(name, version, {} if name == SINK else spec, protected))

    @rule(name=a_name)
    def break_document(self, name: str) -> None:
        self.world.spoil(name)

    @rule(names=st.sets(a_name, min_size=1))
    def remove(self, names: set[str]) -> None:
        self.world.remove(*(names & self.world.desired.manifests.keys()))

    @rule()
    def empty(self) -> None:
        self.world.remove(*(self.world.desired.manifests.keys() & set(NAMES)))

    @rule(before=st.sampled_from(COLLECTORS), after=st.sampled_from(COLLECTORS))
    def rename(self, before: str, after: str) -> None:
        manifests = self.world.desired.manifests
        if before in manifests and after not in manifests:
            spec = manifests[before].spec
            self.world.declare(
                manifest_of(
                    "Collector", "", 1, {"name": after}, spec, digest_of=digest("Collector", after, spec)
                )
            )
            self.world.remove(before)

    @rule()
    def wait_for_removals(self) -> None:
        self.world.confirm()

    @rule(lost=st.booleans())
    def root_becomes_unreadable(self, lost: bool) -> None:
        manifests = {n: m for n, m in self.world.desired.manifests.items() if n not in NAMES or not lost}
        self.world.desired = replace(
            self.world.desired, manifests=manifests, unread="gone", unconfirmed=frozenset()
        )

    @precondition(lambda self: self.world.desired.unread)
    @rule()
    def root_is_back(self) -> None:
        self.world.desired = replace(self.world.desired, unread=None)

    @rule(name=a_name, text=st.sampled_from(("", "new")))
    def edit_what_it_refers_to(self, name: str, text: str) -> None:
        self.world.fingerprints[name] = text

    # --- nature -------------------------------------------------------------------------------------------------

    @rule(names=st.sets(a_name, min_size=1), code=st.sampled_from((0, 1, 75, 78, None)))
    def exit(self, names: set[str], code: int | None) -> None:
        for process in list(self.world.processes):
            if process.name in names and process.leads:
                self.world.end(process, code, None if code is not None else 9)

    @rule(name=a_name, ending=endings)
    def takes_the_signal(self, name: str, ending: Ending) -> None:
        for process in self.world.alive(name):
            process.ending = ending

    @rule()
    def all_fork(self) -> None:
        for process in self.world.processes:
            process.children += 1

    @rule(name=a_name)
    def runs_twice(self, name: str) -> None:
        for process in self.world.alive(name)[:1]:
            number = next(self.world.numbers)
            self.world.processes.append(
                replace(process, instance=f"{name}-{number}", pid=1000 * number, stopping=None, asked_at=None)
            )

    @rule(name=a_name)
    def a_stranger_takes_the_lock(self, name: str) -> None:
        self.world.strangers.add(name)

    @rule(name=a_name)
    def a_stranger_goes(self, name: str) -> None:
        self.world.strangers.discard(name)

    @rule(readable=st.booleans())
    def process_table(self, readable: bool) -> None:
        self.world.readable = readable

    @rule(sink=st.sampled_from((SINK, "local")), points=st.integers(0, 1))
    def queue(self, sink: str, points: int) -> None:
        self.world.queued[sink] = points

    @rule()
    def another_reconciler(self) -> None:
        self.world.restart_reconciler()

    @rule()
    def boot(self) -> None:
        self.world.reboot()

    # --- passes -------------------------------------------------------------------------------------------------

    @rule(force=st.sampled_from((False, False, False, True)), wait=seconds)
    def look_later(self, force: bool, wait: float) -> None:
        self.world.pass_time(wait)
        self.look(force)

    @rule()
    def look_at_once(self) -> None:
        self.look(force=False)

    def look(self, force: bool) -> Plan:
        world, desired = self.world, self.world.desired
        before = {p.instance: (p.name, p.stopping) for p in world.processes}
        lives = dict(world.lives)
        new = {n for n in NAMES if (past := world.histories.get(n)) is None or past.digest is None}
        seen, decided = world.pass_once(force=force)
        after = {p.instance: (p.name, p.stopping) for p in world.processes}

        done = [s for s in decided.steps if s.action is Action.START]
        assert sorted(s.name for s in done) == sorted(after[i][0] for i in after.keys() - before.keys())
        asked = {i.instance for s in decided.steps if s.action is Action.STOP for i in s.instances}
        killed = {i.instance for s in decided.steps if s.action is Action.KILL for i in s.instances}
        assert {i for i in before if after.get(i) != before[i]} == asked | killed
        assert {n for n in lives if world.lives[n] != lives[n]} <= {s.name for s in decided.acting}

        assert seen.complete or not decided.acting
        blocked = set(decided.refusal.names) if decided.refusal else set()
        protected = {
            n for n, m in world.lives.items() if m.metadata["annotations"].get(ANNOTATION) == "disabled"
        }
        for step in decided.steps:
            if step.reason != "Removed" or step.action is not Action.STOP:
                continue
            assert step.name not in desired.manifests, "a manifest that stands is not removed"
            assert desired.unread is None, "unread manifests remove nothing"
            assert step.name not in blocked
            assert force or step.kind == "Sink" or step.name not in protected
            if step.kind == "Sink":
                assert not world.queued.get(step.name), "a sink goes with points it owes"
                assert not any(step.name in world.lives[n].sinks for n, _ in before.values())
        if seen.complete:
            calm = [n for n, stopping in after.values() if stopping is None]
            assert len(calm) == len(set(calm)), "two live ones of one name"
        leaving = {
            p.name
            for p in world.processes
            if p.name in COLLECTORS
            and p.name not in desired.manifests
            and p.name not in protected
            and (p.stopping is None or world.now < p.stopping.kill_at)
        }
        assert not (leaving and new & {s.name for s in done}), "a rename has two pollers"
        return decided

    def teardown(self) -> None:
        """Faults end; passes go on until there is nothing to do."""
        world = self.world
        world.readable, world.desired = True, replace(world.desired, unread=None, broken={})
        world.confirm()
        if any(SINK in m.spec.get("sinks", ()) for m in world.desired.manifests.values()):
            world.declare(document(SINK, 1, {}))
        world.strangers.clear()
        world.queued.clear()
        for n in NAMES:
            world.fingerprints[n] = "repaired"
        for process in world.processes:
            process.ending = "at once"
        for _ in range(ROUNDS):
            world.pass_time(PASS_EVERY_S)
            found = self.look(force=True)
            if not exit_code(found) and not any(p.stopping for p in world.processes):
                break
        seen, decided = world.pass_once(force=True)
        assert not decided.acting
        assert exit_code(decided) == 0
        at_rest = {"keep", "stopped", "hold"}
        assert {s.verdict for s in decided.steps} <= at_rest
        if all(s.verdict != "hold" for s in decided.steps):
            assert converged(world, seen, decided)
        running = {s.name: s.digest for s in decided.steps if s.verdict == "keep"}
        assert sorted((p.name, p.digest) for p in world.processes) == sorted(running.items())
        for step in decided.steps:
            manifest = world.desired.manifests[step.name]
            if step.verdict == "keep" and step.kind == "Collector":
                assert manifest.running and selects(manifest, NODE)


EXAMPLES = 10_000 if os.environ.get("DAQ_STORM") else 1_000
TestPlant = pytest.mark.timeout(EXAMPLES)(Plant.TestCase)
TestPlant.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=20,
    derandomize=not os.environ.get("DAQ_STORM"),
    suppress_health_check=[HealthCheck.too_slow],
)
