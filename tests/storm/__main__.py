"""Kill at random until enough was killed, let it settle, count what went wrong."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from collectors.contract import read_json, write_json
from reconciler.loop.ask import UnreachableError, ask
from tests.processtable import end_all, processes
from tests.storm.decoys import Decoys
from tests.storm.plant import Plant
from tests.waiting import wait_until

SETTLE_S = 60.0
ANSWER_S = 0.3
"""A loop that is asked may be frozen, or killed before it answers."""
PAUSES_S = (0.2, 2.0)


class Storm:
    """What happens, drawn from one seed."""

    def __init__(self, plant: Plant, decoys: Decoys, seed: int) -> None:
        self._plant = plant
        self._decoys = decoys
        self._random = random.Random(seed)
        self._frozen: list[tuple[float, int]] = []
        self._victims = {  # what is killed: how often one of its kind is chosen, and where they are found
            "processes": (90, self._processes),
            "gits": (6, plant.fetching),
            "nurseries": (4, plant.nurseries),
        }
        self.did: Counter[str] = Counter()
        self.doubled: set[str] = set()

    @property
    def kills(self) -> int:
        """SIGKILLs so far."""
        return sum(count for what, count in self.did.items() if what.endswith(" killed"))

    def blow(self, kills: int) -> None:
        """Until so many were killed."""
        events = {
            self._kill: 78,
            self._kill_loop: 4,
            self._freeze: 4,
            self._edit: 5,
            self._check_out: 1,
            self._toggle: 3,
            self._remove: 2,
            self._pause: 2,
            self._restart: 2,
        }
        while self.kills < kills:
            self._random.choices(list(events), list(events.values()))[0]()
            self._thaw(time.monotonic())
            self._plant.reap_loops()
            if not self._plant.loops:
                self._plant.start_loop()
            self.doubled.update(self._plant.doubled())
            time.sleep(self._random.uniform(0, 0.02))
        self._thaw(float("inf"))

    def _kill(self) -> None:
        """Leaders, members, those that went away; now and then many at once."""
        weights = [weight for weight, _ in self._victims.values()]
        (kind,) = self._random.choices(list(self._victims), weights)
        found = self._victims[kind][1]()
        count = self._random.choice((1, 1, 1, 2, 8))
        for victim in self._random.sample(found, min(count, len(found))):
            self._signal(victim, signal.SIGKILL, f"{kind} killed")

    def _processes(self) -> list[int]:
        return [seen.pid for seen in processes(self._plant.state.root)]

    def _kill_loop(self) -> None:
        self.did["loops killed"] += self._plant.kill_loops()
        if self._random.random() < 0.3:
            self._kill()
        if self._random.random() < 0.3:
            self._recycle()
        for _ in range(self._random.choice((1, 1, 2))):  # two race for the directory
            self._plant.start_loop()

    def _recycle(self) -> None:
        """An intent whose leader has gone and whose number is a stranger's now."""
        path = self._random.choice(sorted((self._plant.state.root / "intents").glob("[!.]*.json")) or [None])
        intent = read_json(path) if path else {}
        if path and intent.get("leader"):
            for seen in processes(self._plant.state.root):
                if seen.name == path.stem:
                    self._signal(seen.pid, signal.SIGKILL, "processes killed")
            intent["leader"]["pid"] = self._random.choice(self._decoys.pids)
            write_json(path, intent)
            self.did["pids recycled"] += 1

    def _freeze(self) -> None:
        pids = self._processes() + list(self._plant.loops) * 5 + self._plant.nurseries() * 3
        pid = self._random.choice(pids or [None])
        if pid is not None and self._signal(pid, signal.SIGSTOP, "stopped for a while"):
            self._frozen.append((time.monotonic() + self._random.uniform(0, 0.5), pid))

    def _thaw(self, now: float) -> None:
        for _, pid in [f for f in self._frozen if f[0] <= now]:
            self._signal(pid, signal.SIGCONT, "continued")
        self._frozen = [f for f in self._frozen if f[0] > now]

    def _edit(self) -> None:
        name = self._random.choice(list(self._plant.wanted))
        self._plant.wanted[name].version += 1
        self._plant.declare(name)
        self.did["edits"] += 1

    def _check_out(self) -> None:
        """Every manifest another version in one commit, then git itself writes all of them."""
        for wanted in self._plant.wanted.values():
            wanted.version += 1
        self._plant.declare(*self._plant.wanted)
        self._plant.check_out()
        self.did["checkouts"] += 1

    def _pause(self) -> None:
        until_at = time.time() + self._random.uniform(*PAUSES_S)
        stopped = self._random.random() < 0.3
        self._order({"op": "pause", "why": "a storm", "until_at": until_at, "stopped": stopped}, "pauses")

    def _restart(self) -> None:
        self._order({"op": "restart", "timeout_s": 0.0}, "restarts asked for")

    def _order(self, order: dict[str, Any], what: str) -> None:
        name = self._random.choice(list(self._plant.wanted))
        with suppress(UnreachableError, TimeoutError):
            self.did[what] += 1
            ask(self._plant.state, {**order, "names": [name], "who": "the storm"}, ANSWER_S)

    def _toggle(self) -> None:
        name = self._random.choice(list(self._plant.wanted))
        self._plant.wanted[name].running ^= True
        self._plant.declare(name)
        self.did["stops and starts"] += 1

    def _remove(self) -> None:
        name = self._random.choice(self._plant.removable)
        self._plant.wanted[name].present ^= True
        self._plant.declare(name)
        self.did["removals and returns"] += 1

    def _signal(self, pid: int, number: signal.Signals, what: str) -> bool:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        self.did[what] += 1
        return True


def main() -> int:
    """1 where anything was lost, doubled or signalled by mistake."""
    options = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    options.add_argument("--kills", type=int, default=500)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    options.add_argument("--each", type=int, default=4, help="names of each kind")
    options.add_argument(
        "--git", action="store_true", help="manifests come from commits, not from the directory"
    )
    options.add_argument("--keep", action="store_true", help="leave the directory for a look")
    given = options.parse_args()
    root = Path(tempfile.mkdtemp(prefix="daq-storm-")).resolve()
    plant = Plant(root, given.each, git=given.git)
    decoys = Decoys(root, plant.state.root, list(plant.wanted))
    begin = time.monotonic()
    print(f"seed {given.seed}, {len(plant.wanted)} names, {len(decoys.pids)} decoys", flush=True)
    try:
        wait_until(lambda: decoys.ready, "the decoys")
        plant.start_loop()
        storm = Storm(plant, decoys, given.seed)
        storm.blow(given.kills)
        blew = time.monotonic() - begin
        lost = _settled(plant)
        left = plant.close()
        doubled, foreign = sorted(storm.doubled | set(plant.doubled())), decoys.signals()
    finally:
        plant.kill_loops()
        end_all(plant.state.root)
        plant.end_device()
        decoys.close()
        if not given.keep:
            shutil.rmtree(root)
    print(", ".join(f"{what} {count}" for what, count in sorted(storm.did.items())))
    print(f"{storm.kills} kills in {blew:.0f} s ({storm.kills / blew:.0f}/s)")
    for what, found in (("lost", lost), ("left", left), ("doubled", doubled), ("foreign signals", foreign)):
        print(f"{what}: {len(found)} {found or ''}")
    return 1 if lost or left or doubled or foreign else 0


def _settled(plant: Plant) -> list[str]:
    """What is still not as wanted after a while."""
    deadline = time.monotonic() + SETTLE_S
    while (wrong := plant.missing()) and time.monotonic() < deadline:
        plant.reap_loops()
        if not plant.loops:
            plant.start_loop()
        time.sleep(0.05)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
