"""A state directory as this machine's own: its id, its owner, its file system, and the one reconciler
working on it.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import uuid
from pathlib import Path

from collectors.contract import StateDir, read_json, write_json
from reconciler.processes import locks

NETWORK_FILE_SYSTEMS = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "ceph",
        "lustre",
        "afs",
        "9p",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.ceph",
    }
)
"""Where flock is not kept by this machine's kernel, or not by it alone."""


class StateDirError(Exception):
    """The state directory cannot be used; the message says why and what would be right."""


def open_state_dir(path: Path) -> StateDir:
    """Make the directory (0700) where it is missing, check it, and give it an id.

    Raises StateDirError when it belongs to another user, lies on a network file system, or cannot be made.
    """
    root = path.absolute()
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        root = root.resolve(strict=True)
        owner = root.stat().st_uid
        if owner != os.geteuid():
            raise StateDirError(
                f"cannot use state directory {root}: it belongs to {_user(owner)}, and we are {_user(os.geteuid())}; "
                f"try: sudo -u '{_user(owner)}' daq …"
            )
        root.chmod(0o700)
        kind = _file_system(root)
        if kind in NETWORK_FILE_SYSTEMS:
            raise StateDirError(
                f"cannot use state directory {root}: {kind} is a network file system, "
                "where locks prove nothing; choose a local directory with --state-dir"
            )
        state = StateDir(root)
        _give_id(state)
    except OSError as error:
        raise StateDirError(f"cannot use state directory {root}: {error}") from error
    return state


def _give_id(state: StateDir) -> None:
    """Only one of those who open a new directory at once gives it the id that all of them then see."""
    fd = os.open(state.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if state_id(state) is None:
            value = {"id": str(uuid.uuid4()), "directory": _inode(state.root)}
            write_json(state.root / "id", value, durable=True)
    finally:
        os.close(fd)


def state_id(state: StateDir) -> str | None:
    """The id of this directory; None where it has none or is a copy of another (its records are not about
    us).
    """
    try:
        value = read_json(state.root / "id")
        return str(value["id"]) if value["directory"] == _inode(state.root) else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def lock_instance(state: StateDir) -> int:
    """Become the only reconciler of this directory, until the returned descriptor is closed or the process
    ends.

    Raises StateDirError that names the holder.
    """
    path = state.root / "instance.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        holder = locks.holder(path)
        who = f"pid {holder.pid} ({holder.command})" if holder.pid else holder.command
        raise StateDirError(f"cannot use state directory {state.root}: {who} is working on it") from error
    return fd


def _user(uid: int) -> str:
    """The name of a user, or ``#uid`` (as sudo takes it) where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _inode(path: Path) -> str:
    status = path.stat()
    return f"{status.st_dev}:{status.st_ino}"


def _file_system(path: Path) -> str:
    """Type of the file system that holds `path` (proc_pid_mountinfo(5): mount point is field 5)."""
    best, kind = -1, ""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        mounted = Path(left.split()[4].replace("\\040", " "))
        if path.is_relative_to(mounted) and len(mounted.parts) >= best:
            best, kind = len(mounted.parts), right.split()[0]
    return kind
