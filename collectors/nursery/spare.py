"""A child forked before anybody asked for it, so that a birth takes no longer than giving it its name.

Most of what a fork costs (Python's own part of it, setsid(2), closing descriptors) is over when the birth comes: a
program that died is replaced the sooner, and of a mass start one is forked while the reconciler prepares the next.
Until then a spare is the nursery's: by its arguments, without an environment of ours, without a lock. It ends with the
nursery, or as anybody wishes; a birth that it did not take goes to another.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from collectors.nursery import child, wire
from collectors.nursery.nameplate import Nameplate


@dataclass(frozen=True, slots=True)
class Spare:
    """As the nursery sees it: it waits at the other end of `connection`."""

    pid: int
    connection: socket.socket

    def become(self, birth: wire.Birth, descriptors: Sequence[int]) -> bool:
        """Whether it carries its name now, and waits for :meth:`begin`; else it is dead, and was reaped, and nothing
        came of the birth.
        """
        try:
            wire.send(self.connection, birth, descriptors)
            named = self.connection.recv(1)
        except OSError:  # dead before, or with the birth unread
            named = b""
        if not named:
            self.connection.close()
            os.kill(self.pid, signal.SIGKILL)  # ours to reap, so it is that one still
            os.waitpid(self.pid, 0)
        return bool(named)

    def begin(self) -> None:
        """Let it work, which it does after the nursery's death as well."""
        self.connection.close()


def fork(plate: Nameplate) -> Spare:
    """One more. Raises OSError."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                child.live(its, plate)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    except BaseException:
        ours.close()
        raise
    finally:
        its.close()
    return Spare(pid, ours)
