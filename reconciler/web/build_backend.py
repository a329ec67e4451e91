"""Builds wheel and sdist as hatchling does, with the live page in them.

An editable installation is left as it is: there `make` builds the page, beside what already runs.
"""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path
from typing import Any

import hatchling.build
from hatchling.build import build_editable, get_requires_for_build_editable

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "get_requires_for_build_sdist",
    "get_requires_for_build_wheel",
]


def get_requires_for_build_wheel(settings: dict[str, Any] | None = None) -> list[str]:
    """What a wheel needs to be built."""
    return [*hatchling.build.get_requires_for_build_wheel(settings), *_node()]


def get_requires_for_build_sdist(settings: dict[str, Any] | None = None) -> list[str]:
    """What an sdist needs to be built."""
    return [*hatchling.build.get_requires_for_build_sdist(settings), *_node()]


def build_wheel(directory: str, settings: dict[str, Any] | None = None, metadata: str | None = None) -> str:
    """Build the page where it is out of date (an sdist holds it built), then the wheel."""
    runpy.run_path(str(Path(__file__).with_name("build.py")))["build"]()
    return hatchling.build.build_wheel(directory, settings, metadata)


def build_sdist(directory: str, settings: dict[str, Any] | None = None) -> str:
    """Build the page where it is out of date, then the sdist."""
    runpy.run_path(str(Path(__file__).with_name("build.py")))["build"]()
    return hatchling.build.build_sdist(directory, settings)


def _node() -> list[str]:
    needed: list[str] = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["dependency-groups"]["page"]
    return needed
