"""System programs, npm packages and rights that tests need."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import NoReturn

import pytest

INSTALL_WITHIN_S = 90.0


def needs_root() -> None:
    """Skips where the test may not mount; with CI=true tests run as root."""
    if os.geteuid():
        _lacking("only root may mount")


def program(name: str) -> str:
    """The path of an installed program; skips where it is not there, fails with CI=true."""
    found = shutil.which(name)
    if found is None:
        _lacking(f"{name} is not installed")
    return found


def library(name: str) -> str:
    """The file name of an installed shared library; skips where it is not there, fails with CI=true."""
    found = find_library(name)
    if found is None:
        _lacking(f"the library {name} is not installed")
    return found


def npm_package(name: str, version: str) -> Path:
    """The ``node_modules`` of an npm package, installed into this environment by the first who asks.

    Skips where that cannot be done, fails with CI=true.
    """
    npm, home = program("npm"), Path(sys.prefix) / "npm" / f"{name}-{version}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "installed").exists():
            (home / "package.json").write_text('{"private": true}')
            quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
            command = [npm, "install", *quiet, "--fetch-retries=1", f"{name}@{version}"]
            try:
                subprocess.run(
                    command, cwd=home, check=True, capture_output=True, text=True, timeout=INSTALL_WITHIN_S
                )
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                said = error.stderr if isinstance(error.stderr, str) else ""
                _lacking(f"{name} cannot be installed: {said.strip() or 'npm takes too long'}")
            (home / "installed").touch()
    return home / "node_modules"


def _lacking(what: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
