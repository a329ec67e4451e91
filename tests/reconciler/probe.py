"""Stands in for the interpreter of built-in children: instead of a collector, one that says all it knows of itself.

As ``-m collectors`` it is that probe, as ``-m collectors.nursery`` a nursery whose children are probes. With ``HELPER``
in its environment the probe leaves a process in its session and exits with 7.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from collectors import __main__ as collector


def facts() -> dict[str, Any]:
    """What must not depend on how it was started; but for `random`."""
    umask = os.umask(0)
    os.umask(umask)
    fds = {
        int(fd.name): str(fd.readlink()) for fd in list(Path("/proc/self/fd").iterdir()) if fd.is_symlink()
    }
    return {
        "environ": dict(os.environ),
        "environ in /proc": sorted(
            Path("/proc/self/environ").read_bytes().rstrip(b"\0").decode().split("\0")
        ),
        "argv": sys.argv[1:],
        "argv in /proc": Path("/proc/self/cmdline").read_bytes().rstrip(b"\0").decode().split("\0")[-3:],
        "descriptors": sorted(fds.values()),
        "standard ones": [fds[0], fds[1], fds[2]],
        "flags": [os.get_inheritable(fd) for fd in sorted(fds)],
        "signals": {int(n): str(signal.getsignal(n)) for n in signal.valid_signals()},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "wakeup": signal.set_wakeup_fd(-1),
        "session": os.getsid(0) == os.getpid() == os.getpgid(0),
        "directory": str(Path.cwd()),
        "umask": umask,
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "oom": Path("/proc/self/oom_score_adj").read_text(),
        "timezone": time.tzname,
        "threads": [t.name for t in threading.enumerate()],
        "gc": gc.isenabled(),
        "loggers": [str(logging.root.handlers), logging.root.level],
        "loop": asyncio._get_running_loop() is None,
        "random": random.random(),
    }


def probe() -> int:
    """Say it and stay."""
    if "HELPER" in os.environ:
        subprocess.Popen(["sleep", "60"])
        return 7
    print(json.dumps(facts()), flush=True)
    signal.pause()
    return 0


if __name__ == "__main__":
    collector.main = probe
    module, sys.argv = sys.argv[2], [collector.__file__, *sys.argv[3:]]
    if module == "collectors.nursery":
        from collectors.nursery.__main__ import main

        sys.exit(main())
    sys.exit(probe())
