"""Processes that look almost like ours and write down every signal they get."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

RECORD = """
import signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
print("ready", flush=True)
while True:
    seen = signal.sigwaitinfo(signal.valid_signals())
    print(f"signal {seen.si_signo} from {seen.si_pid}", flush=True)
"""


class Decoys:
    """One of each kind of look-alike of the names of `state`."""

    def __init__(self, root: Path, state: Path, names: Sequence[str]) -> None:
        self._root = root
        self._processes: list[subprocess.Popen[bytes]] = []
        claim = {"DAQ_NAME": names[0], "DAQ_INSTANCE": "0" * 32, "DAQ_DIGEST": "1-0"}
        spec = ["-m", "collectors", f"{state}x/specs/{names[0]}.1-0.json"]
        self._begin("sleep", {"DAQ_STATE_DIR": f"{state}x", **claim}, ["100000"])
        self._begin("sleep", {"DAQ_STATE_DIR": str(state.parent), **claim}, ["100000"])
        self._begin("sleep", {"ANOTHER": f"DAQ_STATE_DIR={state}", **claim}, ["100000"])
        self._begin(sys.executable, {"DAQ_STATE_DIR": f"{state}x", **claim}, spec)
        self._begin("sleep", {}, ["100000"])

    def _begin(self, argv0: str, environ: Mapping[str, str], words: Sequence[str]) -> None:
        path = self._root / f"decoy-{len(self._processes)}"
        with path.open("wb") as output:
            process = subprocess.Popen(
                [argv0, "-S", "-c", RECORD, *words],
                executable=sys.executable,
                env=environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._processes.append(process)

    @property
    def pids(self) -> list[int]:
        """For records that are made to point at them, as if the number had been given away again."""
        return [p.pid for p in self._processes]

    @property
    def ready(self) -> bool:
        """Whether all of them record by now."""
        return all(p.read_text().startswith("ready\n") for p in self._root.glob("decoy-*"))

    def signals(self) -> list[str]:
        """What they got, a death included."""
        got = []
        for number, process in enumerate(self._processes):
            if process.poll() is not None:
                got.append(f"decoy {number} ended with {process.returncode}")
            lines = (self._root / f"decoy-{number}").read_text().splitlines()
            got += [f"decoy {number}: {line}" for line in lines if line != "ready"]
        return got

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            os.kill(process.pid, 9)
            process.wait()
