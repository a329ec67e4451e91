"""Real git repositories for tests, with nothing of the user's own configuration."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.programs import program


class Repository:
    """A work tree at `root`, on branch main."""

    def __init__(self, root: Path) -> None:
        self.root = root
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", ".")

    def git(self, *arguments: str, **settings: str) -> str:
        """Run git; returns its output. `settings` are keys of its configuration with __ for the dots."""
        config = {
            "user.name": "A", "user.email": "a@example.org", "gc.auto": "0",
            **{key.replace("__", "."): value for key, value in settings.items()},
        }  # fmt: skip
        options = [part for key, value in config.items() for part in ("-c", f"{key}={value}")]
        environ = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
        done = subprocess.run(
            ["git", *options, *arguments],
            cwd=self.root,
            env=environ | {"GIT_CONFIG_GLOBAL": "/dev/null"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files by path; None removes one."""
        for path, text in files.items():
            file = self.root / path
            if text is None:
                file.unlink()
            else:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, "utf-8")

    def commit(self, files: Mapping[str, str | None], *arguments: str, **settings: str) -> str:
        """Write files and commit everything; returns the revision."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", "a change", *arguments, **settings)
        return self.head

    @property
    def head(self) -> str:
        """The revision that is checked out."""
        return self.git("rev-parse", "HEAD")


def key_of(directory: Path, name: str) -> Path:
    """A new SSH key, or a skip where no ssh-keygen is installed (a failure under CI)."""
    file = directory / name
    subprocess.run([program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    return file
