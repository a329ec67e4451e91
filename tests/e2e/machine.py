"""A throw-away machine that runs systemd: what is installed and started there is gone with it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.programs import needs_root, program
from tests.waiting import wait_until

BOOT = Path(__file__).with_name("machine.sh")
BOOT_S = 30.0
PATH = f"{sys.base_prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Machine:
    """The files are those of this machine until they are changed there; there is no network but loopback."""

    def __init__(self, init: int) -> None:
        self._init = init

    def run(self, *command: str | Path, fails: bool = False) -> str:
        """What a command prints there, run by root in /; it must succeed, or with `fails` may not."""
        enter = [program("nsenter"), f"--target={self._init}", "--all"]
        there = ["env", "--ignore-environment", "--chdir=/", f"PATH={PATH}", "HOME=/root", *map(str, command)]
        done = subprocess.run(
            [*enter, *there],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert fails or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}\n{self.journal()}"
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """A file there."""
        self.run("sh", "-c", 'mkdir -p "$(dirname "$1")" && printf %s "$2" >"$1"', "-", path, text)

    def shows(self, unit: str, name: str) -> str:
        """One property of a unit, as systemd tells it."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self) -> str:
        """The last of what services said."""
        return self.run("journalctl", "--no-pager", "--lines=40", fails=True)


@contextmanager
def machine(directory: Path, shared: Path) -> Iterator[Machine]:
    """One that has booted; ended with all its processes. `directory` is empty; `shared` is ``/mnt`` there."""
    needs_root()
    for name in ("/lib/systemd/systemd", "nsenter", "setpriv", "ip", "pgrep"):
        program(name)
    outer = subprocess.Popen(
        [program("setpriv"), "--pdeathsig", "TERM", "unshare", "--mount", "sh", BOOT, directory, shared],
        stdin=subprocess.DEVNULL,
    )
    try:
        init = wait_until(lambda: _init(outer), "a machine", BOOT_S)
        found = Machine(init)
        wait_until(
            lambda: found.run("systemctl", "is-system-running", fails=True) == "running\n", "its boot", BOOT_S
        )
        # The interpreter of this test may lie in root's home.
        for above in Path(sys.base_prefix).parents:
            found.run("chmod", "a+x", above)
        yield found
    finally:
        if outer.poll() is None:
            for process in psutil.Process(outer.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        outer.kill()
        outer.wait()


def _init(outer: subprocess.Popen[bytes]) -> int:
    """The process that is pid 1 in a namespace of its own; 0 before there is one."""
    assert outer.poll() is None, "it has ended; what it said is above"
    for process in psutil.Process(outer.pid).children(recursive=True):
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue  # one of the commands that prepare it, which has ended meanwhile
        if "\tsystemd\n" in status and status.partition("NSpid:")[2].partition("\n")[0].endswith("\t1"):
            return process.pid
    return 0
