"""The one place where a child is started. Whatever replaces it must keep what :func:`spawn` promises."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.contract import SpecFile, StateDir, builtin_command


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


def command_of(spec: SpecFile, state: StateDir, python: str, base: Path, search: str) -> Command:
    """What the child of `spec` executes; relative paths of exec start at `base`, bare names are looked up in
    `search`.

    Raises StartError with reason StartFailed: a program or directory may yet be installed or mounted.
    """
    if spec.spec.get("type") != "exec":
        file = state.spec(spec.name, spec.digest)
        return Command(Path(python), builtin_command(python, file), state.root)
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


def spawn(command: Command, *, environ: Mapping[str, str], lock: int, log: Path) -> int:
    """Start a child in a session of its own; stdin empty, output appended to `log`, `lock` inherited.

    Returns its pid; the caller reaps it. Raises OSError; then nothing was started.
    """
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
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
    finally:
        os.close(output)
    child.returncode = 0  # from here on the pidfd knows how it ends: subprocess must neither reap nor warn
    return child.pid


def niced(command: Command, nice: int | None) -> Command:
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
