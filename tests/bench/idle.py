"""What the loop costs while 200 collectors of three protocols read each second and nothing happens.

Beside it, over the same seconds, supervisord with 200 programs that sleep and report nothing.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from tests.bench import mixed
from tests.bench.counters import cpu_s, rss_mb
from tests.bench.rows import Goal, Row
from tests.bench.stamps import Stamps
from tests.bench.supervisors.supervisord import Supervisord
from tests.e2e.plant import Plant

COLLECTORS = 200
CALM_S, SECONDS = 20.0, 40.0


def run() -> list[Row]:
    """CPU of both over the same time, then their memory."""
    names = mixed.names(COLLECTORS)
    with mixed.devices() as ports, tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        (root / "daq").mkdir()
        plant, stamps = Plant(root / "daq"), Stamps(root)
        peer = Supervisord(root / "supervisord", stamps, [f"p{n}" for n in range(COLLECTORS)])
        try:
            for name in names:
                plant.write(f"{name}.yaml", mixed.manifest(name, ports))
            loop = plant.start_loop().pid
            peer.start()
            mixed.wait_converged(plant, COLLECTORS)
            threading.Event().wait(CALM_S)
            before = cpu_s(loop), cpu_s(peer.pid)
            threading.Event().wait(SECONDS)
            used = cpu_s(loop) - before[0], cpu_s(peer.pid) - before[1]
            memory = rss_mb(loop), rss_mb(peer.pid)
        finally:
            peer.close()
            mixed.end(plant)
    what, beside = f"loop, {COLLECTORS} collectors reading each second", "supervisord, no reports"
    ours, theirs = (100 * seconds / SECONDS for seconds in used)
    return [
        Row(f"{what}: CPU of a core", beside, ours, theirs, "%", Goal(1.0)),
        Row(f"{what}: RSS", beside, *memory, "MB", Goal(60.0)),
    ]
