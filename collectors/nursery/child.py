"""A forked child before it is a collector: everything of the nursery comes off, then it waits to be somebody."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import random
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import NoReturn

from collectors import __main__ as collector
from collectors.contract import ENV_STATE_DIR
from collectors.nursery import wire
from collectors.nursery.nameplate import Nameplate

OOM_SCORE = "/proc/self/oom_score_adj"
IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""As Python has them at its start."""


def live(connection: socket.socket, plate: Nameplate) -> NoReturn:
    """Be the collector of the birth that comes over `connection`, to its end; without one, end with the nursery.

    Called with all signals blocked, right after the fork.
    """
    code = 1
    try:
        os.setsid()
        plate.show_arguments([sys.executable, "-m", wire.NURSERY, sys.argv[1], wire.SPARE])
        _close_all_but(connection.fileno())
        random.seed()
        gc.enable()
        _take_signals()
        if (request := wire.receive(connection)) is None:
            os._exit(0)
        birth, (lock, log) = request
        _be_born(wire.Birth(**birth), lock, log, plate)
        _await_word(connection)
        code = collector.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001  (what the interpreter does with one that nobody caught)
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            logging.shutdown()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # taking the interpreter down would copy every page it shares with the nursery


def _await_word(connection: socket.socket) -> None:
    """Tell the nursery of the name, and wait for its word; one that has died keeps nobody."""
    with contextlib.suppress(OSError):
        connection.send(b"n")
        connection.recv(1)
    connection.close()


def _be_born(birth: wire.Birth, lock: int, log: int, plate: Nameplate) -> None:
    os.set_inheritable(lock, True)
    _take_streams(log)
    _take_priority(birth)
    os.umask(birth.umask)
    os.chdir(birth.directory)
    _take_name(birth, plate)


def _take_streams(log: int) -> None:
    empty = os.open(os.devnull, os.O_RDONLY)
    for fd, number in ((empty, 0), (log, 1), (log, 2)):
        os.dup2(fd, number, inheritable=True)
    os.close(empty)
    os.close(log)


def _take_name(birth: wire.Birth, plate: Nameplate) -> None:
    os.environ.clear()
    os.environ.update(birth.environ)
    time.tzset()
    sys.argv = [collector.__file__, *birth.arguments[3:]]
    sys.orig_argv = list(birth.arguments)
    plate.show(birth.arguments, {ENV_STATE_DIR: birth.environ[ENV_STATE_DIR], **birth.environ})


def _take_priority(birth: wire.Birth) -> None:
    """The reconciler's, not the nursery's, which may be another one's child. Lowering either may be refused."""
    if os.getpriority(os.PRIO_PROCESS, 0) != birth.nice:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, birth.nice)
    fd = os.open(OOM_SCORE, os.O_RDONLY)  # of hundreds of births each waits for this: no Path
    score = int(os.read(fd, 16))
    os.close(fd)
    if score != birth.oom_score_adj:
        with contextlib.suppress(PermissionError):
            Path(OOM_SCORE).write_text(str(birth.oom_score_adj))


def _close_all_but(connection: int) -> None:
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        if int(name) > 2 and int(name) != connection:
            with contextlib.suppress(OSError):  # the one by which the directory was read
                os.close(int(name))


def _take_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN if number in IGNORED else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
