"""Running git: no prompts, nothing of our own environment's GIT_*, never longer than its deadline."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

CONFIG = "GIT_CONFIG_GLOBAL"
"""Carried by git and by all helpers that it starts."""
LOCAL_S = 60.0
"""Deadline of what works on a repository of this machine."""

_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")


class GitError(Exception):
    """git failed or was not done in time; the message begins with ``cannot``."""


class GitRefusedError(GitError):
    """git ran, and could not do it."""


class GitClosedError(GitError):
    """It was ended, or not begun, because nobody waits for its answer any more."""


class Git:
    """git on the repository at `directory`; `config` is a file written here and read as the user's own.

    The user's own configuration (credentials, proxies) is included; `trusted` are repositories that may belong to
    another user.
    """

    def __init__(self, directory: Path, config: Path, trusted: Sequence[Path] = ()) -> None:
        self.directory = directory
        self._closed = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        includes = ["~/.config/git/config", "~/.gitconfig"] if "HOME" in os.environ else []
        lines = [f"[include]\n\tpath = {path}\n" for path in includes]
        lines += [f"[safe]\n\tdirectory = {_quoted(str(path))}\n" for path in trusted]
        config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        config.write_text("".join(lines))
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "SSH_ASKPASS"))} | {
            CONFIG: str(config),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "SSH_ASKPASS_REQUIRE": "never",
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }

    def close(self) -> None:
        """End what runs, and let nothing begin."""
        self._closed.set()
        if child := self._child:
            _end(child)

    def text(self, *arguments: str, to: str, deadline_s: float = LOCAL_S) -> str:
        """Its output as text, without the last newline. `to` says what for, in ``cannot <to>: …``. Raises GitError."""
        return self.run(*arguments, to=to, deadline_s=deadline_s).decode(errors="replace").rstrip("\n")

    def run(
        self,
        *arguments: str,
        to: str,
        deadline_s: float = LOCAL_S,
        given: Mapping[str, str] | None = None,
        stdin: IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
        directory: Path | None = None,
    ) -> bytes:
        """Its output, unless that goes to `stdout`; `given` is configuration for this call. Raises GitError."""
        environ = dict(self._environ)
        for i, (key, value) in enumerate((given or {}).items()):
            environ |= {f"GIT_CONFIG_KEY_{i}": key, f"GIT_CONFIG_VALUE_{i}": value}
        environ["GIT_CONFIG_COUNT"] = str(len(given or {}))
        if self._closed.is_set():
            raise GitClosedError(f"cannot {to}: ending")
        try:
            child = subprocess.Popen(
                ["git", *arguments],
                cwd=directory or self.directory,
                env=environ,
                stdin=stdin or subprocess.DEVNULL,
                stdout=stdout or subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # without a terminal nothing can ask for a password
            )
        except OSError as error:
            raise GitError(f"cannot {to}: cannot run git: {error.strerror}") from error
        with child:
            self._child = child
            if self._closed.is_set():
                _end(child)
            try:
                output, complaint = child.communicate(timeout=deadline_s)
            except subprocess.TimeoutExpired:
                _end(child)
                child.communicate()
                raise GitError(f"cannot {to}: git was not done within {deadline_s:g} s") from None
            finally:
                self._child = None
        if child.returncode:
            kind = GitRefusedError if child.returncode > 0 else GitError
            if self._closed.is_set():
                kind = GitClosedError
            raise kind(f"cannot {to}: {_last_words(complaint) or f'git ended with {child.returncode}'}")
        return output or b""


def _end(child: subprocess.Popen[bytes]) -> None:
    """Kill a child that is not reaped yet (so that the pid is still its own), and its helpers."""
    if child.returncode is None:
        try:
            os.killpg(child.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _last_words(complaint: bytes) -> str:
    lines = [line.strip() for line in complaint.decode(errors="replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    return _CREDENTIALS.sub("", "; ".join(line.partition(": ")[2] or line for line in fatal))[:500]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
