"""``python -m collectors.nursery <state-dir>``, its listening socket as standard input: begun by the reconciler."""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import pkgutil
import socket
import sys
from pathlib import Path

import collectors
from collectors.contract import StateDir
from collectors.nursery import wire

LEFT_OUT = ("collectors.simulate", "collectors.nursery.__main__")
PR_SET_MEMORY_MERGE = 67
"""prctl(2), since Linux 6.4."""


def main() -> int:
    """Warm up, then serve."""
    gc.disable()
    _let_merge()
    key = wire.key()  # before the imports: of files that change meanwhile it must not be the newer one
    listener = socket.socket(fileno=os.dup(0))
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    _import_all()
    from collectors.nursery import holes  # noqa: PLC0415
    from collectors.nursery.nameplate import Nameplate  # noqa: PLC0415
    from collectors.nursery.parent import Parent  # noqa: PLC0415
    from collectors.nursery.rehearsal import rehearse  # noqa: PLC0415

    rehearse()
    state = StateDir(Path(sys.argv[1]))
    plate = Nameplate()
    shown = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in os.environ}
    os.environ.clear()
    os.environ.update(shown)
    plate.show([sys.executable, "-m", wire.NURSERY, str(state.root)], shown)
    parent = Parent(state, listener, key, plate)
    gc.collect()
    filling = holes.fill()  # noqa: F841  (kept for as long as children are forked)
    gc.freeze()
    assert len(os.listdir("/proc/self/task")) == 1, "cannot fork: an import has started a thread"  # noqa: PTH208
    parent.serve()
    return 0


def _let_merge() -> None:
    """Pages that are equal in many children may be one, on hosts that merge (KSM is off unless switched on there)."""
    ctypes.CDLL(None).prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0)


def _import_all() -> None:
    for module in pkgutil.walk_packages(collectors.__path__, "collectors."):
        if not module.name.startswith(LEFT_OUT):
            importlib.import_module(module.name)


if __name__ == "__main__":
    sys.exit(main())
