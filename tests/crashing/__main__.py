"""Kill a reconciler at every step, or at so many spread evenly; compare each end with an undisturbed run's."""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from collectors.contract import read_json, write_json
from tests.crashing.scenario import drive, end_state
from tests.crashing.steps import Steps
from tests.processtable import end_all, end_nurseries

AT_ONCE = 6
FAILED = 70


def driven(root: Path, kill_at: int | None) -> int:
    """Fork a reconciler that dies at that step; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = FAILED
    try:
        log = os.open(root / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1), os.dup2(log, 2)
        logging.basicConfig(level=logging.INFO, force=True)
        steps = Steps(root / "state", kill_at, lambda step: write_json(root / "died.json", step))
        drive(root)
        write_json(root / "steps.json", steps.taken)
        code = 0
    except BaseException:
        logging.exception("the reconciler ended by itself")
    finally:
        os._exit(code)


class Sweep:
    """Many plants at once, each with a reconciler that dies at another step and one that finishes its work."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._at_work: dict[int, tuple[Path, int]] = {}
        self.expected: dict[str, Any] = {}
        self.steps = 0
        self.died: Counter[str] = Counter()
        self.undisturbed = 0
        self.failures: list[str] = []

    def undisturbed_run(self) -> None:
        """How many steps there are, and what must come out."""
        root = self._begin(None)
        self._wait_for_one()
        assert not self.failures, self.failures
        self.steps = read_json(root / "steps.json")

    def run(self, points: list[int]) -> None:
        """Kill at each of these steps."""
        for point in points:
            while len(self._at_work) >= AT_ONCE:
                self._wait_for_one()
            self._begin(point)
        while self._at_work:
            self._wait_for_one()

    def _begin(self, point: int | None) -> Path:
        root = self._root / str(point)
        root.mkdir()
        self._at_work[driven(root, point)] = root, point or 0
        return root

    def _wait_for_one(self) -> None:
        pid, status = os.waitpid(-1, 0)
        if pid not in self._at_work:
            return
        root, point = self._at_work.pop(pid)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.died[read_json(root / "died.json")] += 1
            self._at_work[driven(root, None)] = root, point
            return
        died = read_json(root / "died.json") if (root / "died.json").exists() else "nowhere"
        self.undisturbed += died == "nowhere"
        if status:
            self._failed(f"killed at step {point} ({died}): {(root / 'log').read_text()[-1500:]}")
        else:
            found = end_state(root)
            self.expected = self.expected or found
            for key, value in self.expected.items():
                if found[key] != value:
                    self._failed(f"killed at step {point} ({died}): {key} is {found[key]}, not {value}")
        end_all(root / "state")
        end_nurseries(root / "state")

    def _failed(self, text: str) -> None:
        self.failures.append(text)
        print(text, file=sys.stderr, flush=True)


def main() -> int:
    """1 where an end differs."""
    options = argparse.ArgumentParser(prog="python -m tests.crashing", description=__doc__)
    options.add_argument("--all", action="store_true", help="every step, not a sample")
    options.add_argument("--points", type=int, default=60, help="size of the sample")
    options.add_argument("--keep", action="store_true", help="leave the directories for a look")
    given = options.parse_args()
    root = Path(tempfile.mkdtemp(prefix="daq-crashing-"))
    begin = time.monotonic()
    sweep = Sweep(root)
    try:
        sweep.undisturbed_run()
        count = sweep.steps if given.all else min(given.points, sweep.steps)
        sweep.run([1 + n * sweep.steps // count for n in range(count)])
    finally:
        if not given.keep:
            shutil.rmtree(root)
    kinds = ", ".join(f"{step} {n}" for step, n in sorted(sweep.died.items()))
    print(f"{sweep.steps} steps; killed at {sweep.died.total()}: {kinds}")
    print(f"{len(sweep.failures)} wrong ends, {time.monotonic() - begin:.0f} s")
    return 1 if sweep.failures else 0


if __name__ == "__main__":
    sys.exit(main())
