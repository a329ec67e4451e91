"""Bundles of any version, made of this checkout as `make bundle` makes them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from email import message_from_string
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

TOP = Path(__file__).parents[2]
PAGE = Path("reconciler", "web", "dist")


def run(*command: str | Path, cwd: Path, environ: Mapping[str, str] | None = None) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checkout(directory: Path) -> Path:
    """A copy of the files that git tracks or would, and of the page where it is built."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=TOP)
    for name in filter(None, names.split("\0")):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, directory / name, follow_symlinks=False)
    if (TOP / PAGE).exists():
        shutil.copytree(TOP / PAGE, directory / PAGE)
    return directory


def wheel(source: Path, version: str) -> Path:
    """A wheel of the checkout, which says this version."""
    module = source / "reconciler" / "__init__.py"
    lines = [line for line in module.read_text().splitlines() if not line.startswith("__version__")]
    module.write_text("\n".join([*lines, f'__version__ = "{version}"', ""]))
    shutil.rmtree(source / "dist", ignore_errors=True)
    run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", "dist", ".", cwd=source)
    (found,) = (source / "dist").glob("*.whl")
    return found


def bundled(source: Path, version: str) -> Path:
    """The unpacked bundle of a version, as `make bundle` packs it, of wheels from the package index."""
    return _bundled(source, version, os.environ)


def bundled_of_what_is_here(source: Path, version: str) -> Path:
    """The same without a network: of the packages that this test runs with."""
    index = source / "index"
    index.mkdir()
    names = re.findall(r"^([a-z0-9._-]+)==", (source / "requirements.lock").read_text(), re.MULTILINE)
    lock = []
    for name in names:
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for another Python or system
        digest = hashlib.sha256(_wheel_of(found, index).read_bytes()).hexdigest()
        lock.append(f"{name}=={found.version} --hash=sha256:{digest}\n")
    (source / "requirements.lock").write_text("".join(lock))
    return _bundled(source, version, {**os.environ, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)})


def upgraded(bundle: Path, source: Path, version: str) -> Path:
    """The same bundle with another version of daq in it."""
    for old in (bundle / "wheels").glob("daq_reconciler-*"):
        old.unlink()
    shutil.copy(wheel(source, version), bundle / "wheels")
    (bundle / "VERSION").write_text(f"{version}\n")
    return bundle


def _bundled(source: Path, version: str, environ: Mapping[str, str]) -> Path:
    wheel(source, version)
    build = source / "deploy" / "bundle" / "build.sh"
    archive = run(build, sys.executable, version, cwd=source, environ=environ).split()[-1]
    run("tar", "-xzf", archive, cwd=source)
    return source / Path(archive).name.removesuffix(".tar.gz")


def _wheel_of(installed: Distribution, directory: Path) -> Path:
    """An installed package as the wheel it came from, but for its scripts and what was compiled since."""
    tag = message_from_string(installed.read_text("WHEEL") or "").get_all("Tag", [])[-1]
    name = re.sub(r"[-_.]+", "_", installed.name)
    path = directory / f"{name}-{installed.version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file in installed.files or ():
            if file.parts[0] != ".." and file.suffix != ".pyc" and Path(file.locate()).is_file():
                archive.write(file.locate(), str(file))
    return path
