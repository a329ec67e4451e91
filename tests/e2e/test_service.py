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

from collectors.contract import read_json
from reconciler.render.pod import MANIFESTS, STATE_DIR
from tests.e2e.plant import DAQ, Plant, collector
from tests.programs import needs_root
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


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


class Pod:
    """The rendered containers with their own commands, variables and probes, each in a PID namespace of its own; only
    the mounted paths, and the port, are elsewhere.
    """

    def __init__(self, plant: Plant, rendered: Path, tmp_path: Path) -> None:
        config, stateful = yaml.safe_load_all(rendered.read_text())
        self.spec = stateful["spec"]["template"]["spec"]
        mounted = tmp_path / "mounted"  # as a cluster mounts a ConfigMap
        (mounted / "..2026").mkdir(parents=True)
        (mounted / "..data").symlink_to("..2026")
        for name, text in config["data"].items():
            (mounted / "..2026" / name).write_text(text)
            (mounted / name).symlink_to(f"..data/{name}")
        self.places = {MANIFESTS: str(mounted), STATE_DIR: str(plant.state), "0.0.0.0:8000": "127.0.0.1:0"}
        self.plant, self.cwd = plant, tmp_path
        self.containers = {each["name"]: each for each in self.spec["containers"]}

    def environ(self, name: str) -> dict[str, str]:
        own = {each["name"]: each["value"] for each in self.containers[name]["env"]}
        own = {variable: self.places.get(value, value) for variable, value in own.items()}
        return {**self.plant.environ, "PATH": f"{DAQ.parent}:{os.environ['PATH']}", **own}

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """What the image's entry point runs; ends as its child does."""
        command = [*ALONE, "daq", *self.containers[name]["args"]]
        with self.plant.output.open("ab") as log:
            return subprocess.Popen(command, cwd=self.cwd, env=self.environ(name), stdout=log, stderr=log)

    def sent_at(self, sink: str) -> float:
        at: float = read_json(self.plant.state / "reports" / f"{sink}.json")["at"]
        return at

    def passes(self, name: str, probe: str) -> bool:
        command = self.containers[name][probe]["exec"]["command"]
        done = subprocess.run(command, env=self.environ(name), capture_output=True, check=False)
        return done.returncode == 0


def test_what_a_pod_runs_passes_its_probes_and_ends_in_time(plant: Plant, tmp_path: Path) -> None:
    needs_root()
    plant.write("press.yaml", collector("press", plant.device()))
    assert plant.daq("render", "kubernetes", "--out", "k8s").returncode == 0
    pod = Pod(plant, plant.root / "k8s" / "press.yaml", tmp_path)
    assert list(pod.containers) == ["daq", "send-local"]
    running = {name: pod.start(name) for name in pod.containers}
    try:
        for name in running:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                wait_until(partial(pod.passes, name, probe), f"{probe} of {name}", 30)
        wait_until(lambda: plant.rows("SELECT 1 FROM samples"), "readings")
        wait_until(lambda: plant.status("press")["health"] == "healthy", "the collector to be healthy", 30)
        (sender,) = plant.pids("local")  # the loop started none of its own
        assert plant.status("local")["conditions"][0]["reason"] == "Elsewhere"
        os.kill(sender, signal.SIGKILL)
        running["send-local"].wait()
        wait_until(lambda: plant.status("press")["health"] == "degraded", "the missing sender to be told", 30)
        before = pod.sent_at("local")
        running["send-local"] = pod.start("send-local")
        wait_until(lambda: pod.sent_at("local") > before, "the new sender's report", 30)
        wait_until(lambda: plant.status("press")["health"] == "healthy", "the new sender to be seen", 30)
        for process in running.values():
            os.kill(child_of(process), signal.SIGTERM)
        for process in running.values():
            assert process.wait(pod.spec["terminationGracePeriodSeconds"]) == 0
        assert not plant.pids()
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def child_of(process: subprocess.Popen[bytes]) -> int:
    """The first process of its namespace."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text())


def test_one_sink_has_one_sender(plant: Plant) -> None:
    plant.write("press.yaml", collector("press", plant.device()))
    plant.start_loop()
    plant.wait_ready("press", "local")
    second = plant.daq("send", "local")
    assert second.returncode == 2
    assert f"cannot start local: it runs already, as process {plant.pids('local')[0]} " in second.stderr
    missing = plant.daq("send", "plnt")
    assert (missing.returncode, missing.stderr) == (
        2, "cannot send to plnt: there is no such Sink; there are: local\n"
    )  # fmt: skip
