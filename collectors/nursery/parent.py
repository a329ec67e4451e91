"""The nursery's loop: births on request, exits kept, an end when nobody needs it any more."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.contract import (
    ENV_INSTANCE,
    ENV_NAME,
    ExitFile,
    StateDir,
    boot_id,
    monotonic,
    to_json,
    write_json,
)
from collectors.nursery import spare, wire
from collectors.nursery.nameplate import Nameplate

IDLE_S = 60.0
"""Without child and reconciler it ends after this."""
LOOK_S = 2.0
"""How often it looks whether its state directory is still there."""
COMPANY_S = 0.2
"""The same for the sessions of dead children in which others live on."""

CALM_S = 0.2
"""So long after the last birth no more are expected: the born begin, also without a word from a reconciler that may
have died, and the next spare is forked, which before would take CPU from what begins.
"""

log = logging.getLogger("collectors.nursery")


@dataclass(frozen=True, slots=True)
class Child:
    """Whom a pid that is not reaped yet belongs to."""

    name: str
    instance: str


class Parent:
    """Serves one state directory. Uses one thread, of which it must be the only one."""

    def __init__(self, state: StateDir, listener: socket.socket, key: str, plate: Nameplate) -> None:
        self._state = state
        self._directory = _identity(state.root)
        self._listener = listener
        self._key = key
        self._plate = plate
        self._boot_id = boot_id()
        self._children: dict[int, Child] = {}
        self._company: set[int] = set()
        self._spare: spare.Spare | None = None
        self._born: list[spare.Spare] = []
        """Who have their names and wait to begin."""
        self._stirred = False
        self._born_at = 0.0
        self._reconcilers: dict[int, socket.socket] = {}
        self._idle_since = monotonic()
        self._woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        self._poll = select.poll()
        for fd in (listener.fileno(), self._woken):
            self._poll.register(fd, select.POLLIN)

    def serve(self) -> None:
        """Until it has been idle for long enough or its state directory is another one or gone."""
        while self._needed():
            timeout_s = CALM_S if self._stirred else COMPANY_S if self._company else LOOK_S
            for fd, _ in self._poll.poll(timeout_s * 1000):
                if fd == self._listener.fileno():
                    self._accept()
                elif fd == self._woken:
                    os.read(self._woken, 4096)
                else:
                    self._answer(self._reconcilers[fd])
            if self._stirred and monotonic() - self._born_at > CALM_S:
                self._stirred = False
                self._begin_all()
                self._have_spare()
            self._reap()

    def _needed(self) -> bool:
        if _identity(self._state.root) != self._directory:
            return False
        if self._children or self._reconcilers:
            self._idle_since = monotonic()
        return monotonic() - self._idle_since < IDLE_S

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        myself = os.pidfd_open(os.getpid())
        try:
            wire.send(connection, {"key": self._key}, [myself])
        except OSError:  # gone again
            connection.close()
            return
        finally:
            os.close(myself)
        self._reconcilers[connection.fileno()] = connection
        self._poll.register(connection, select.POLLIN)
        self._have_spare()

    def _answer(self, connection: socket.socket) -> None:
        try:
            request = wire.receive(connection)
            if request == (wire.BEGIN, []):
                self._begin_all()
                return
            if request is not None:
                self._bear(connection, *request)
                return
        except (OSError, ValueError) as error:
            log.warning("a reconciler was dropped: %s", error)
        self._poll.unregister(connection)
        del self._reconcilers[connection.fileno()]
        connection.close()

    def _bear(self, connection: socket.socket, request: Mapping[str, Any], descriptors: list[int]) -> None:
        """Have the spare be it, and answer. The first begins at once; where another follows, the next spare is forked
        while the reconciler goes on. The lock is not kept a moment longer than that takes. Raises OSError, ValueError.
        """
        try:
            birth = wire.Birth(**request)
            if not self._plate.fits(birth.arguments, birth.environ):
                raise ValueError("arguments or environment are too long")
            born = self._give_name(birth, descriptors)
        except (OSError, ValueError, TypeError) as error:
            wire.send(connection, {"error": str(error)})
            return
        finally:
            for fd in descriptors:
                os.close(fd)
        self._children[born.pid] = Child(birth.environ[ENV_NAME], birth.environ[ENV_INSTANCE])
        several, self._stirred, self._born_at = self._stirred, True, monotonic()
        self._born.append(born)
        if not several:
            self._begin_all()
        fd = os.pidfd_open(born.pid)
        try:
            wire.send(connection, {"pid": str(born.pid)}, [fd])
        finally:
            os.close(fd)
        if several:
            self._have_spare()

    def _begin_all(self) -> None:
        while self._born:
            self._born.pop(0).begin()

    def _give_name(self, birth: wire.Birth, descriptors: list[int]) -> spare.Spare:
        """The child. A spare that waited may have died meanwhile, which is no reason to give up. Raises OSError."""
        waiting, self._spare = self._spare, None
        if waiting and waiting.become(birth, descriptors):
            return waiting
        fresh = spare.fork(self._plate)
        if not fresh.become(birth, descriptors):
            raise OSError("the child died before it had a name")
        return fresh

    def _have_spare(self) -> None:
        """Without one, the next birth forks."""
        try:
            self._spare = self._spare or spare.fork(self._plate)
        except OSError as error:
            log.warning("cannot fork a child before it is asked for: %s", error)

    def _reap(self) -> None:
        """Tell of the dead and let them go; one that leads a session in which others live is kept till they end."""
        ended = []
        for pid, who in self._children.items():
            seen = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if seen is not None:
                ended.append((pid, who, seen))
        self._company = _sessions_with_company() & {pid for pid, _, _ in ended} if ended else set()
        for pid, who, seen in ended:
            if pid not in self._company:
                self._tell(who, seen)
                os.waitid(os.P_PID, pid, os.WEXITED)
                del self._children[pid]

    def _tell(self, who: Child, seen: Any) -> None:
        exited = seen.si_code == os.CLD_EXITED
        told = ExitFile(
            name=who.name,
            exit_code=seen.si_status if exited else None,
            signal=None if exited else seen.si_status,
            at=time.time(),
            monotonic_s=monotonic(),
            boot_id=self._boot_id,
        )
        try:
            write_json(self._state.exit(who.instance), to_json(told))
        except OSError as error:  # a full disk: the code will be unknown
            log.warning("%s: cannot keep how it ended: %s", who.name, error)


def _sessions_with_company() -> set[int]:
    """Sessions with a process that is not their leader."""
    found = set()
    for entry in os.listdir("/proc"):  # noqa: PTH208
        if entry.isdigit():
            try:
                session = os.getsid(int(entry))
            except ProcessLookupError:
                continue
            if session != int(entry):
                found.add(session)
    return found


def _identity(root: Path) -> tuple[int, int] | None:
    try:
        status = root.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
