"""`daq run` under a service manager, and as a pod runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from functools import partial
from pathlib import Path

import pytest
import yaml

from tests.e2e.plant import DAQ, Plant, collector
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


def test_the_service_manager_is_told_of_readiness_life_and_end(plant: Plant) -> None:
    address = plant.root / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(20)
        plant.environ["NOTIFY_SOCKET"] = str(address)
        plant.start_loop()
        assert manager.recv(1000) == b"READY=1"
        assert manager.recv(1000).startswith(b"WATCHDOG=1\nSTATUS=")
        assert plant.loop is not None
        plant.loop.send_signal(signal.SIGTERM)
        while (told := manager.recv(1000)).startswith(b"WATCHDOG"):
            pass
        assert told == b"STOPPING=1"
        assert plant.end_loop() == 0


def test_what_a_pod_runs_passes_its_probes_and_ends_in_time(plant: Plant, tmp_path: Path) -> None:
    """The rendered command and probes as they are; only the two mounted paths are elsewhere."""
    port = plant.device()
    plant.write("press.yaml", collector("press", port))
    assert plant.daq("render", "kubernetes", "--out", "k8s").returncode == 0
    config, stateful = yaml.safe_load_all((plant.root / "k8s" / "press.yaml").read_text())
    mounted = tmp_path / "mounted"  # as a cluster mounts a ConfigMap
    (mounted / "..2026").mkdir(parents=True)
    (mounted / "..data").symlink_to("..2026")
    for name, text in config["data"].items():
        (mounted / "..2026" / name).write_text(text)
        (mounted / name).symlink_to(f"..data/{name}")
    (container,) = stateful["spec"]["template"]["spec"]["containers"]
    environ = {
        **plant.environ,
        "PATH": f"{DAQ.parent}:{os.environ['PATH']}",
        "DAQ_STATE_DIR": str(plant.state),
    }
    arguments = [
        a.replace("/etc/daq/desired", str(mounted)).replace("0.0.0.0:8000", "127.0.0.1:0")
        for a in container["args"]
    ]

    def passes(probe: str) -> bool:
        command = container[probe]["exec"]["command"]
        return subprocess.run(command, env=environ, capture_output=True, check=False).returncode == 0

    with plant.output.open("ab") as log:
        pod = subprocess.Popen(["daq", *arguments], cwd=tmp_path, env=environ, stdout=log, stderr=log)
    try:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            wait_until(partial(passes, probe), probe, 30)
        wait_until(lambda: plant.rows("SELECT 1 FROM samples"), "readings")
        pod.terminate()
        assert pod.wait(stateful["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]) == 0
        assert not plant.pids()
    finally:
        pod.kill()
        pod.wait()
