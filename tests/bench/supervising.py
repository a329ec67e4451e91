"""The same 200 programs under daq, supervisord, circus and runit: edited, killed, and left by their supervisor.

Each in turn, several times over. The programs tell themselves when they began.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.bench.rows import Goal, Row, p99
from tests.bench.stamps import Stamps
from tests.bench.supervisors import Supervisor
from tests.bench.supervisors.circus import Circus
from tests.bench.supervisors.daq import Daq
from tests.bench.supervisors.runit import Runit
from tests.bench.supervisors.supervisord import Supervisord

NAMES = [f"p{n:03}" for n in range(200)]
ROUNDS, EDITS, KILLS = 3, 8, 20
"""In each round. A name is killed once in it: none is to show its back-off."""
BETWEEN_S = 0.3
ADOPTED_WITHIN_S = 2.0
CALM_S = 3.0
"""A new supervisor that starts nothing for so long is done."""


class Found(NamedTuple):
    """Seconds of each edit and kill; seconds until another supervisor was at work, and what became of all."""

    edits_s: list[float]
    kills_s: list[float]
    return_s: float
    fate: Counter[str]


def run() -> list[Row]:
    """Ours beside each of the others."""
    kinds: list[type[Supervisor]] = [Daq, Supervisord, Circus, *([Runit] if shutil.which("runsvdir") else [])]
    rounds = [{kind: _round(kind) for kind in kinds} for _ in range(ROUNDS)]
    edits = {kind: [s for found in rounds for s in found[kind].edits_s] for kind in kinds}
    kills = {kind: [s for found in rounds for s in found[kind].kills_s] for kind in kinds}
    back = {kind: median(found[kind].return_s for found in rounds) for kind in kinds}
    fates = {kind: sum((found[kind].fate for found in rounds), Counter()) for kind in kinds}
    for kind in kinds:
        print(f"{_name(kind)}: killed and started {ROUNDS} times over {len(NAMES)}: {_words(fates[kind])}")
    peers = kinds[1:]
    edit, kill = f"edit to replaced, {len(NAMES)} running", f"kill -9 to replaced, {len(NAMES)} running"
    often = Goal(0.05, times=5)
    wrong = {kind: fates[kind]["lost"] + fates[kind]["doubled"] for kind in kinds}
    return [
        *(Row(f"{edit}, median", kind.title, median(edits[Daq]), median(edits[kind]),
              goal=often if kind is not Runit else None) for kind in peers),
        *(Row(f"{edit}, p99", kind.title, p99(edits[Daq]), p99(edits[kind])) for kind in peers),
        *(Row(f"{kill}, median", _name(kind), median(kills[Daq]), median(kills[kind]),
              goal=Goal(0.01) if kind is Supervisord else None) for kind in peers),
        *(Row(f"{kill}, p99", _name(kind), p99(kills[Daq]), p99(kills[kind]),
              goal=Goal(0.025) if kind is Supervisord else None) for kind in peers),
        Row(f"lost or doubled of {ROUNDS} x {len(NAMES)} when it is killed", "supervisord", wrong[Daq],
            wrong[Supervisord], "programs", Goal(0)),
        Row(f"killed, then {len(NAMES)} adopted", "supervisord, until it answers", back[Daq], back[Supervisord],
            goal=Goal(ADOPTED_WITHIN_S)),
    ]  # fmt: skip


def _name(kind: type[Supervisor]) -> str:
    return kind.title.partition(" ")[0]


def _round(kind: type[Supervisor]) -> Found:
    with tempfile.TemporaryDirectory() as directory:
        stamps = Stamps(Path(directory))
        supervisor = kind(Path(directory, "root"), stamps, NAMES)
        try:
            supervisor.start()
            edits = [_after_edit(supervisor, stamps, NAMES[-1 - n], 1 + n) for n in range(EDITS)]
            kills = [_after_kill(stamps, name) for name in NAMES[:KILLS]]
            return Found(edits, kills, *_after_death(supervisor, stamps))
        finally:
            supervisor.close()
            for stamp in stamps.alive():
                os.kill(stamp.pid, signal.SIGKILL)


def _after_edit(supervisor: Supervisor, stamps: Stamps, name: str, value: int) -> float:
    threading.Event().wait(BETWEEN_S)
    begin = time.perf_counter()
    supervisor.edit(name, value)
    return stamps.wait(lambda s: s.name == name and s.value == value, f"{name} to follow").at - begin


def _after_kill(stamps: Stamps, name: str) -> float:
    threading.Event().wait(BETWEEN_S)
    victim = stamps.wait(lambda s: s.name == name, name)
    begin = time.perf_counter()
    os.kill(victim.pid, signal.SIGKILL)
    return stamps.wait(lambda s: s.name == name and s.pid != victim.pid, f"{name} to return").at - begin


def _after_death(supervisor: Supervisor, stamps: Stamps) -> tuple[float, Counter[str]]:
    """Seconds until another one is at work, and how many names were adopted, lost, doubled."""
    before = {stamp.name: stamp.pid for stamp in stamps.alive()}
    assert len(before) == len(NAMES), f"{len(before)} live"
    begin = time.perf_counter()
    supervisor.die_and_return()
    took = time.perf_counter() - begin
    count = 0
    while count < (count := len(stamps.told())):
        threading.Event().wait(CALM_S)
    after: dict[str, list[int]] = {name: [] for name in NAMES}
    for stamp in stamps.alive():
        after[stamp.name].append(stamp.pid)
    return took, Counter(_fate(before[name], pids) for name, pids in after.items())


def _fate(before: int, after: list[int]) -> str:
    match after:
        case []:
            return "lost"
        case [pid]:
            return "adopted" if pid == before else "replaced"
    return "doubled"


def _words(fate: Counter[str]) -> str:
    return ", ".join(f"{fate[which]} {which}" for which in ("lost", "doubled", "replaced", "adopted"))
