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
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from collectors.contract import StateDir, monotonic
from collectors.nursery import wire
from reconciler.processes import pidfd, proctable

NAME = "nursery.sock"
WARM_WITHIN_S = 20.0
"""Of a start; one that takes longer is ended, and children are spawned."""
ANSWER_S = 3.0
"""A fork takes milliseconds; a nursery that does not answer is ended, because it may hold a lock."""
LONGEST_PAUSE_S = 60.0
"""Between starts of nurseries that never became warm; the first pause is a second."""
DEATH_WAIT_MS = 2000
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
        self._key = ""
        self._since = self._not_before = 0.0
        self._failures = 0
        self._begun: list[subprocess.Popen[bytes]] = []

    def close(self) -> None:
        """Let go of it; it lives on."""
        if self._connection:
            self._connection.close()
        self._connection, self.warmth = None, "cold"

    def tend(self) -> None:
        """Connect to it, begin one where there is none of the installed code, give up one that does not get warm.
        What fails is logged.
        """
        self._begun = [child for child in self._begun if child.poll() is None]
        try:
            if self.warmth == "warm" and (self._gone() or self._key != wire.key()):
                self.close()
            if self.warmth == "warming":
                self._greet()
            if self.warmth == "cold" and monotonic() >= self._not_before:
                self._begin()
        except (OSError, ValueError) as error:
            logger.warning("cannot begin a nursery, children are spawned without it: %s", error)
            self._failed()

    def can_bear(self, environ: Mapping[str, str]) -> bool:
        """Whether it is warm, and the child asks for nothing that only a new interpreter would heed."""
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
            return int(reply["pid"]), descriptors[0]
        logger.warning("the nursery cannot fork: %s", reply.get("error"))
        return None

    def end(self) -> None:
        """Kill every nursery of this state directory; their children live on. What fails is logged."""
        self.close()
        for pid in proctable.nurseries(self._state):
            with pidfd.verified(pid, lambda pid: proctable.is_nursery(pid, self._state)) as fd:
                if fd is None:
                    continue
                try:
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                except OSError as error:
                    logger.error("cannot end the nursery, pid %d: %s", pid, error)
                    continue
                dead = select.poll()
                dead.register(fd, select.POLLIN)
                dead.poll(DEATH_WAIT_MS)
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
            with _address(self._state.root) as path:
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
            _address(self._state.root) as path,
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
        self._begun.append(child)
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
            logger.info("the nursery has other code than is installed now: left to its children")
            self.close()
            self._start()
            self._connect()
        else:
            self._key = greeting[0]["key"]
            self._failures, self.warmth = 0, "warm"
            self._wakes.modify(self._connection, select.EPOLLRDHUP | select.EPOLLONESHOT)

    def _gone(self) -> bool:
        assert self._connection is not None
        return _readable(self._connection)  # it says nothing unasked: this is its end

    def _failed(self) -> None:
        self.close()
        self._not_before = monotonic() + min(LONGEST_PAUSE_S, 2.0**self._failures)
        self._failures += 1


def _readable(connection: socket.socket) -> bool:
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


@contextlib.contextmanager
def _address(root: Path) -> Iterator[str]:
    """A path of the socket that is short enough for a socket address, however long that of the directory is."""
    fd = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)
