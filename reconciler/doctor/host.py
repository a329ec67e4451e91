"""The machine: kernel, limits, clock, disk, state directory, port, git."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from collectors.contract import StateDir
from reconciler.doctor.finding import Finding, fail, ok, warn
from reconciler.loop.ask import answers
from reconciler.processes import StateDirError, open_state_dir
from reconciler.processes.logcap import can_collapse

GIB = 1 << 30
EXITS_TOLD_SINCE = 6, 15
LOW_DISK_BYTES = GIB
DESCRIPTORS = 64, 3
"""Those of the loop itself, and of each collector."""
MEMORY_BYTES = 160 << 20, 12 << 20
"""The same: the loop, its page and the warm parent; each collector's own."""
INOTIFY_INSTANCES, INOTIFY_WATCHES = 16, 1024
TIME_ERROR = 5
"""What adjtimex(2) returns while nothing disciplines the clock."""
BUILT_AT = 1_790_000_000
"""No clock is right that is before this (September 2026)."""


def check_host(
    state: StateDir, address: tuple[str, int] | None, collectors: int, *, git: bool
) -> Iterator[Finding]:
    """Everything that needs no network."""
    yield from _kernel()
    yield _descriptors(collectors)
    yield _memory(collectors)
    yield from _inotify()
    yield from _clock()
    yield from _state_dir(state)
    if address:
        yield _port(address, state)
    if git:
        yield _git()


def _kernel() -> Iterator[Finding]:
    release = os.uname().release
    try:
        fd = os.pidfd_open(os.getpid())
    except OSError as error:
        yield fail("kernel", f"{release} has no pidfd ({error.strerror}); daq needs Linux 5.3 or newer")
        return
    os.close(fd)
    version = tuple(map(int, re.findall(r"\d+", release)[:2]))
    if version >= EXITS_TOLD_SINCE:
        yield ok("kernel", f"{release} tells exit codes of adopted processes")
    else:
        yield warn("kernel", f"{release} does not tell how adopted processes ended; Linux 6.15 does")


def _descriptors(collectors: int) -> Finding:
    limit, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = DESCRIPTORS[0] + DESCRIPTORS[1] * collectors
    text = f"{limit} descriptors allowed, about {needed} needed for {collectors} collectors"
    if limit >= needed:
        return ok("limits", text)
    return fail("limits", f"{text}; raise it: ulimit -n {min(most, 2 * needed)}, or LimitNOFILE= in the unit")


def _memory(collectors: int) -> Finding:
    free = psutil.virtual_memory().available
    needed = MEMORY_BYTES[0] + MEMORY_BYTES[1] * collectors
    text = f"{free / GIB:.1f} GiB of memory free, about {needed / GIB:.1f} needed for {collectors} collectors"
    if free >= needed:
        return ok("memory", text)
    return warn(
        "memory",
        f"{text} if none runs yet; one collector may read many devices, and Linux may merge equal pages, see"
        " docs/density.md",
    )


def _inotify() -> Iterator[Finding]:
    for name, least in (("max_user_instances", INOTIFY_INSTANCES), ("max_user_watches", INOTIFY_WATCHES)):
        value = int(Path(f"/proc/sys/fs/inotify/{name}").read_text())
        if value < least:
            yield warn("inotify", f"{name} is {value}; set it higher: sysctl fs.inotify.{name}={8 * least}")


def _clock() -> Iterator[Finding]:
    if time.time() < BUILT_AT:
        yield fail(
            "clock", f"it says {time.strftime('%Y-%m-%d %H:%M')}; set it before readings are stamped with it"
        )
        return
    # struct timex is 208 bytes here; with `modes` 0 nothing is changed.
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(256))
    if state == TIME_ERROR:
        yield warn(
            "clock", "nothing keeps it right; run chrony or systemd-timesyncd, or timestamps will drift"
        )
    else:
        yield ok("clock", "is kept right")


def _state_dir(state: StateDir) -> Iterator[Finding]:
    root = state.root
    if not root.exists():
        above = next(p for p in root.parents if p.exists())
        if not os.access(above, os.W_OK | os.X_OK):
            yield fail("state", f"cannot make {root}: {above} is not writable; name another by --state-dir")
            return
        yield ok("state", f"{root} will be made")
        root = above
    else:
        try:
            open_state_dir(root)
        except StateDirError as error:
            yield fail("state", str(error))
            return
        yield ok("state", f"{root} is ours and on a local disk")
        if not can_collapse(root):
            yield warn(
                "state",
                "this file system cannot cut the head off a log; a line may be lost when one is capped",
            )
    free = shutil.disk_usage(root).free
    text = f"{free / GIB:.1f} GiB free"
    if free < LOW_DISK_BYTES:
        yield warn("disk", f"{text}; outboxes need room for outages, see --buffer-total")
    else:
        yield ok("disk", text)


def _port(address: tuple[str, int], state: StateDir) -> Finding:
    host, port = address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((host, port))
        except OSError as error:
            if answers(state):
                return ok("endpoint", f"{host}:{port} is in use while the loop runs")
            return fail(
                "endpoint", f"cannot listen on {host}:{port}: {error.strerror}; choose another by --listen"
            )
    return ok("endpoint", f"{host}:{port} is free")


def _git() -> Finding:
    if found := shutil.which("git"):
        return ok("git", f"is {found}")
    return fail("git", "is not installed, and --git needs it")
