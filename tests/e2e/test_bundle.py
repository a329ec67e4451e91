"""The bundle installs where there is no network, and an upgrade restarts no collector."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.bundles import bundled, checkout, run, upgraded
from tests.e2e.plant import Plant
from tests.programs import program

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="a network without routes is made by root only"),
]


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
