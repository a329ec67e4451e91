"""Programs that a reconciler ran for itself and that outlived its kill, found by a variable only they carry."""

from __future__ import annotations

import logging
import signal

from reconciler.processes import pidfd, proctable

ROUNDS = 20
"""Looks in which a kill follows processes that fork while they are killed."""

logger = logging.getLogger("daq.processes")


def end_leftovers(variable: str, value: str) -> None:
    """KILL every process whose environment says ``variable=value``. Raises OSError.

    For the owner of a state directory only, before it gives the variable to anybody itself.
    """
    for _ in range(ROUNDS):
        found = [pid for pid in proctable.pids() if proctable.has_variable(pid, variable, value)]
        if not found:
            return
        for pid in found:
            if pidfd.send(pid, signal.SIGKILL, lambda pid: proctable.has_variable(pid, variable, value)):
                logger.warning("ended pid %d, which a reconciler before this one left behind", pid)
