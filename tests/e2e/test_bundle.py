"""The bundle installs where there is no network, and an upgrade restarts no collector."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.plant import Plant
from tests.programs import program

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network without routes is made by root only"),
]

TOP = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checkout(directory: Path) -> Path:
    """A copy of the files that git tracks or would."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=TOP)
    for name in filter(None, names.split("\0")):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / name, directory / name, follow_symlinks=False)
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
    """The unpacked bundle of a version, as `make bundle` packs it."""
    wheel(source, version)
    archive = run(source / "deploy" / "bundle" / "build.sh", sys.executable, version, cwd=source).split()[-1]
    run("tar", "-xzf", archive, cwd=source)
    return source / Path(archive).name.removesuffix(".tar.gz")


def upgraded(bundle: Path, source: Path, version: str) -> Path:
    """The same bundle with another version of daq in it."""
    for old in (bundle / "wheels").glob("daq_reconciler-*"):
        old.unlink()
    shutil.copy(wheel(source, version), bundle / "wheels")
    (bundle / "VERSION").write_text(f"{version}\n")
    return bundle


def install(bundle: Path, prefix: Path) -> str:
    """Run its install.sh in a network without routes."""
    return run(program("unshare"), "--net", "sh", bundle / "install.sh", "--prefix", prefix, cwd=bundle)


def test_a_bundle_installs_without_a_network_and_upgrades_without_a_restart(
    plant: Plant, tmp_path: Path
) -> None:
    source, prefix = checkout(tmp_path / "source"), tmp_path / "opt"
    port = plant.device()
    bundle = bundled(source, "1.0.0")
    assert "installed" in install(bundle, prefix)
    plant.program = prefix / "current" / "bin" / "daq"
    assert plant.daq("--version").stdout == "daq 1.0.0\n"
    assert plant.daq("init", "mine").returncode == 0
    mine = plant.root / "mine"
    simulator, press = mine / "desired" / "simulator.yaml", mine / "desired" / "press.yaml"
    simulator.unlink()
    press.write_text(press.read_text().replace("15020", str(port)))
    plant.root, plant.desired, plant.state = mine, mine / "desired", mine / ".daq"
    plant.start_loop()
    plant.wait_ready("press", "local")
    before = plant.pids("press"), plant.pids("local")

    told = install(upgraded(bundle, source, "1.0.1"), prefix)
    assert f"kept {prefix}/1.0.0" in told
    plant.end_loop()
    plant.start_loop()
    plant.wait_ready("press", "local")
    assert plant.daq("--version").stdout == "daq 1.0.1\n"
    assert (plant.pids("press"), plant.pids("local")) == before
    assert plant.status("press")["restart_count"] == 0

    assert plant.daq("down").returncode == 0
    assert f"removed {prefix}/1.0.0" in install(bundle, prefix)
