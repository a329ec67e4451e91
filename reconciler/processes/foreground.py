"""A built-in child in place of this process: kept by whoever keeps us, a container's runtime for example."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Mapping
from typing import NoReturn

from collectors.contract import SpecFile, StateDir, to_json, write_json
from reconciler.processes import locks
from reconciler.processes.environment import UnresolvedError, child_environment
from reconciler.processes.spawn import StartError, command_of


def become(spec: SpecFile, state: StateDir, environ: Mapping[str, str] = os.environ) -> NoReturn:
    """Execute the child of `spec`, which holds the lock of its name from now on.

    Raises StartError: LockHeld where another has it, else ConfigurationInvalid; or OSError.
    """
    try:
        child = child_environment(spec, state, uuid.uuid4().hex, sys.executable, environ)
    except UnresolvedError as error:
        raise StartError("ConfigurationInvalid", f"cannot start {spec.name}: {error}") from error
    path = state.lock(spec.name)
    lock = locks.take(path)
    if lock is None:
        holder = locks.holder(path)
        who = f"process {holder.pid} ({holder.command})" if holder.pid else holder.command
        raise StartError("LockHeld", f"cannot start {spec.name}: it runs already, as {who}")
    os.set_inheritable(lock, True)
    write_json(state.spec(spec.name, spec.digest), to_json(spec))
    command = command_of(spec, state, sys.executable, state.root, child["PATH"])
    os.execve(command.executable, list(command.arguments), child)
