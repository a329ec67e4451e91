"""The nursery as the reconciler sees it: begun, greeted by, asked for births, given up.

Nothing depends on it. While it is not warm, or refuses, or dies, children are spawned.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import signal
import socket
import subprocess
from collections.abc import Mapping
from typing import Literal

from collectors.contract import StateDir, monotonic
from collectors.nursery import wire
from collectors.socketpath import socket_path
from reconciler.processes import pidfd, proctable

NAME = "nursery.sock"
WARM_WITHIN_S = 20.0
"""Of a start; one that takes longer is ended, and children are spawned."""
ANSWER_S = 3.0
"""A fork takes milliseconds; a nursery that does not answer is ended, because it may hold a lock."""
LONGEST_PAUSE_S = 60.0
"""Between starts of nurseries that never became warm; the first pause is a second."""
DEATH_WAIT_MS = 2000
COMPARE_EVERY_S = 0.1
READ_AT_START = ("PYTHON", "LC_", "LD_", "GLIBC_", "MALLOC_", "OPENSSL_")
"""Variables that the interpreter, the loader or a library reads once and for all."""

logger = logging.getLogger("daq.nursery")

Warmth = Literal["cold", "warming", "warm"]


class Nursery:
    """A connection to the nursery of a state directory; `wakes` becomes readable when it is warm or gone."""

    def __init__(self, state: StateDir, python: str, environ: Mapping[str, str], wakes: select.epoll) -> None:
        self.warmth: Warmth = "cold"
        self._state = state
        self._python = python
        self._environ = environ
        self._wakes = wakes
        self._connection: socket.socket | None = None
        self._pidfd: int | None = None
        """Of a warm one."""
        self._key, self._same, self._compared = "", True, 0.0
        self._since = self._not_before = 0.0
        self._failures = 0
        self._waiting = False
        self._own: set[int] = set()

    def close(self) -> None:
        """Let go of it; it lives on."""
        if self._connection:
            self._connection.close()
        if self._pidfd is not None:
            os.close(self._pidfd)
        self._connection, self._pidfd, self.warmth = None, None, "cold"

    def tend(self) -> None:
        """Connect to it, begin one where there is none of the installed code, give up one that does not get warm.
        What fails is logged.
        """
        self._own = {pid for pid in self._own if os.waitpid(pid, os.WNOHANG) == (0, 0)}
        try:
            if self._pidfd is not None and pidfd.is_dead(self._pidfd):
                self.close()
            if self.warmth == "warming":
                self._greet()
            if self.warmth == "cold" and monotonic() >= self._not_before:
                self._begin()
        except (OSError, ValueError) as error:
            logger.warning("cannot begin a nursery, children are spawned without it: %s", error)
            self._failed()

    def can_bear(self, environ: Mapping[str, str]) -> bool:
        """Whether it is warm and of the installed code, and nothing is asked that only a new interpreter would heed."""
        if self.warmth == "warm" and not self._current():
            self.close()
        return (
            self.warmth == "warm"
            and environ.get("LANG") == self._environ.get("LANG")
            and not any(name.startswith(READ_AT_START) for name in environ)
        )

    def fork(self, birth: wire.Birth, lock: int, log: int) -> tuple[int, int] | None:
        """The child's pid and a pidfd of it, which the caller closes. Closes `lock` as soon as it is sent.

        None where that is not known: either there is no child, or the next look finds it. Then no request waits
        any more, so that a lock that is free now proves that none was born of this one.
        """
        connection = self._connection
        assert connection is not None
        try:
            try:
                wire.send(connection, birth, (lock, log))
            finally:
                os.close(lock)
            answer = wire.receive(connection)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno == errno.EMSGSIZE:
                return None
            logger.warning("the nursery does not answer and is ended: %s", error)
            answer = None
        if answer is None:
            self.end()
            return None
        reply, descriptors = answer
        if "pid" in reply and len(descriptors) == 1:
            self._waiting = True
            return int(reply["pid"]), descriptors[0]
        logger.warning("the nursery cannot fork: %s", reply.get("error"))
        return None

    def begin_all(self) -> None:
        """Let the born work, as they would a moment later also without that word. What fails the next birth tells."""
        if self._waiting and self._connection:
            with contextlib.suppress(OSError):
                wire.send(self._connection, wire.BEGIN)
        self._waiting = False

    def end(self) -> None:
        """Kill every nursery of this state directory; their children live on. What fails is logged."""
        try:
            if self._pidfd is not None:
                _kill(self._pidfd)
            for pid in proctable.nurseries(self._state):
                with pidfd.verified(pid, lambda pid: proctable.is_nursery(pid, self._state)) as fd:
                    if fd is not None:
                        _kill(fd)
        except OSError as error:
            logger.error("cannot end the nursery: %s", error)
        self.close()
        with contextlib.suppress(FileNotFoundError):
            (self._state.root / NAME).unlink()

    # --- inside ---------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Connect to the one that listens, else start one. Raises OSError."""
        try:
            self._connect()
        except (FileNotFoundError, ConnectionRefusedError):
            self._start()
            self._connect()

    def _connect(self) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.settimeout(ANSWER_S)
            with socket_path(self._state.root, NAME) as path:
                connection.connect(path)
            self._wakes.register(connection, select.EPOLLIN | select.EPOLLONESHOT)
        except BaseException:
            connection.close()
            raise
        self._connection, self.warmth, self._since = connection, "warming", monotonic()

    def _start(self) -> None:
        """One process more, in a session of its own; whoever listened before does so for its children only."""
        with contextlib.suppress(FileNotFoundError):
            (self._state.root / NAME).unlink()
        passed = {
            name: self._environ[name] for name in ("PATH", "HOME", "LANG", "TZ") if name in self._environ
        }
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            socket_path(self._state.root, NAME) as path,
            (self._state.root / "nursery.log").open("ab") as log,
        ):
            listener.bind(path)  # in a directory that is ours alone
            listener.listen()
            child = subprocess.Popen(
                [self._python, "-m", wire.NURSERY, str(self._state.root), " " * wire.ARGUMENT_ROOM],
                cwd=self._state.root,
                env={**passed, "ROOM": " " * wire.ENVIRON_ROOM},
                stdin=listener.fileno(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        child.returncode = 0  # we reap it, see tend
        self._own.add(child.pid)
        logger.info("a nursery begins, pid %d", child.pid)

    def _greet(self) -> None:
        """Become warm if it has greeted. Raises OSError or ValueError."""
        assert self._connection is not None
        if not _readable(self._connection):
            if monotonic() - self._since > WARM_WITHIN_S:
                logger.warning("the nursery is not warm after %g s and is ended", WARM_WITHIN_S)
                self.end()
                self._failed()
            return
        greeting = wire.receive(self._connection)
        if greeting is None:
            logger.warning("the nursery has ended before it was warm; see nursery.log")
            self._failed()
        elif greeting[0].get("key") != wire.key():
            for fd in greeting[1]:
                os.close(fd)
            logger.info("the nursery has other code than is installed now: left to its children")
            self.close()
            self._start()
            self._connect()
        else:
            self._key, (self._pidfd,) = greeting[0]["key"], greeting[1]
            self._failures, self.warmth = 0, "warm"
            self._wakes.register(self._pidfd, select.EPOLLIN | select.EPOLLONESHOT)

    def _current(self) -> bool:
        """Looking takes a millisecond, so in a mass start it is not done for each."""
        if monotonic() - self._compared > COMPARE_EVERY_S:
            self._compared, self._same = monotonic(), self._key == wire.key()
        return self._same

    def _failed(self) -> None:
        self.close()
        self._not_before = monotonic() + min(LONGEST_PAUSE_S, 2.0**self._failures)
        self._failures += 1


def _kill(fd: int) -> None:
    """And wait for its death: only then are the descriptors that were on their way to it closed. Raises OSError."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    dead = select.poll()
    dead.register(fd, select.POLLIN)
    dead.poll(DEATH_WAIT_MS)


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
