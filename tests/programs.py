"""System programs that tests need."""

from __future__ import annotations

import os
import shutil

import pytest


def program(name: str) -> str:
    """The path of an installed program; skips where it is not there, fails with CI=true."""
    found = shutil.which(name)
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found
