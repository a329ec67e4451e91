"""The one place where a child is started: forked by the nursery where that is warm, else executed.

Either way it leads a session of its own, has an empty stdin, appends its output to its log, inherits its lock,
and shows the same arguments and environment in /proc.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from collectors.contract import SpecFile, StateDir, builtin_command, monotonic
from collectors.nursery.wire import Birth
from reconciler.processes import locks
from reconciler.processes.nursery import Nursery

AGAIN_S = 0.25
LOWEST_PRIORITY = 19
"""The highest niceness there is."""


class StartError(Exception):
    """A child could not be started: a CamelCase `reason` and a `message` that begins with ``cannot
    start``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Command:
    """What to execute: the file, its arguments as written, and where."""

    executable: Path
    arguments: Sequence[str]
    directory: Path
    builtin: bool = False


class Born(NamedTuple):
    """A child; `fd` is a pidfd of one that is not ours to wait for."""

    pid: int
    fd: int | None


def command_of(spec: SpecFile, state: StateDir, python: str, base: Path, search: str) -> Command:
    """What the child of `spec` executes; relative paths of exec start at `base`, bare names are looked up in
    `search`.

    Raises StartError with reason StartFailed: a program or directory may yet be installed or mounted.
    """
    if spec.spec.get("type") != "exec":
        file = state.spec(spec.name, spec.digest)
        return Command(Path(python), builtin_command(python, file), state.root, builtin=True)
    written = [str(part) for part in spec.spec["command"]]
    directory = base / str(spec.spec.get("workingDirectory", "."))
    if not directory.is_dir():
        raise StartError(
            "StartFailed",
            f"cannot start {spec.name}: spec.workingDirectory: {directory} is no directory",
        )
    program = str(base / written[0]) if "/" in written[0] else written[0]
    found = shutil.which(program, path=search)
    if found is None:
        place = "is not there or not executable" if "/" in program else "is in no directory of PATH"
        raise StartError(
            "StartFailed", f"cannot start {spec.name}: spec.command: program {program!r} {place}"
        )
    return Command(Path(found), written, directory)


def bear(
    command: Command,
    nice: int | None,
    *,
    environ: Mapping[str, str],
    lock: Path,
    held: int,
    log: Path,
    nursery: Nursery,
) -> Born | None:
    """Start a child that inherits `held`, the descriptor of its `lock`, which is closed here whatever happens.

    None where the nursery did not say what became of it and the lock is held: then the next look finds it. Raises
    OSError; then nothing was started.
    """
    kept: int | None = held
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            if command.builtin and nursery.can_bear(environ):
                kept = None  # closed as soon as it is sent
                if born := nursery.fork(_birth(command, nice, environ), held, output):
                    return Born(*born)
                kept = _take_again(lock)
                if kept is None:
                    return None
            assert kept is not None
            return Born(_spawn(_niced(command, nice), environ, kept, output), None)
        finally:
            os.close(output)
    finally:
        if kept is not None:
            os.close(kept)


def _take_again(lock: Path) -> int | None:
    """A descriptor that was on its way to a killed nursery is closed a moment after its death."""
    end = monotonic() + AGAIN_S
    while (fd := locks.take(lock)) is None and monotonic() < end:
        time.sleep(AGAIN_S / 50)
    return fd


def _birth(command: Command, nice: int | None, environ: Mapping[str, str]) -> Birth:
    """The same child, with what a spawned one would inherit from us."""
    umask = os.umask(0o077)
    os.umask(umask)
    return Birth(
        arguments=command.arguments,
        environ=environ,
        directory=str(command.directory),
        umask=umask,
        nice=min(os.getpriority(os.PRIO_PROCESS, 0) + (nice or 0), LOWEST_PRIORITY),
        oom_score_adj=int(Path("/proc/self/oom_score_adj").read_text()),
    )


def _spawn(command: Command, environ: Mapping[str, str], lock: int, output: int) -> int:
    """Its pid; the caller reaps it. Raises OSError."""
    child = subprocess.Popen(
        command.arguments,
        executable=command.executable,
        cwd=command.directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=(lock,),
        start_new_session=True,
    )
    child.returncode = 0  # from here on the pidfd knows how it ends: subprocess must neither reap nor warn
    return child.pid


def _niced(command: Command, nice: int | None) -> Command:
    """The same through nice(1), so that even the first instruction has that priority."""
    program = shutil.which("nice")
    if not nice or program is None:
        return command
    arguments = ["nice", "-n", str(nice), str(command.executable), *command.arguments[1:]]
    return Command(Path(program), arguments, command.directory)


def nice_of(live: Mapping[str, Any]) -> int | None:
    """``resources.nice`` of a live file's spec."""
    nice = (live.get("resources") or {}).get("nice")
    return None if nice is None else int(nice)
