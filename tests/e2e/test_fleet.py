"""Three hosts, each a network of its own, on one git remote: each takes its share, and a move never doubles."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.plant import DAQ, Plant
from tests.programs import program
from tests.repository import Repository
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces are made by root only"),
]


def ip(*arguments: str) -> None:
    subprocess.run([program("ip"), *arguments], check=True, capture_output=True)


class Host(Plant):
    """A machine whose network is a namespace with one link, to the machine with the remote."""

    def __init__(self, root: Path, number: int, hub: str) -> None:
        root.mkdir()
        super().__init__(root)
        self.number = number
        self.network = f"{hub}-{number}"
        self.address = f"10.77.{number}.2"
        ip("netns", "add", self.network)
        ip(
            "-n",
            hub,
            "link",
            "add",
            f"h{number}",
            "type",
            "veth",
            "peer",
            "name",
            "eth0",
            "netns",
            self.network,
        )
        for space, link, address in (
            (hub, f"h{number}", f"10.77.{number}.1"),
            (self.network, "eth0", self.address),
        ):
            ip("-n", space, "address", "add", f"{address}/24", "dev", link)
            ip("-n", space, "link", "set", link, "up")
        ip("-n", self.network, "link", "set", "lo", "up")

    def start(self, label: str) -> None:
        """Run the loop on the remote's branch."""
        remote = f"git://10.77.{self.number}.1/remote.git"
        with self.output.open("ab") as log:
            self.loop = subprocess.Popen(
                [
                    program("ip"), "netns", "exec", self.network, DAQ, "run",
                    "--git", remote, "--pull", "300ms", "--node", f"h{self.number}", "--label", label,
                    "--listen", f"{self.address}:8000", "--state-dir", str(self.state),
                ],
                cwd=self.root, env=self.environ, stdout=log, stderr=log,
            )  # fmt: skip

    def close(self) -> None:
        """End everything, the network last."""
        self.daq("down", "--state-dir", str(self.state))
        super().close()
        ip("netns", "delete", self.network)


class Hub:
    """The machine with the remote: a bare repository served by git's own daemon."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.root = root
        self.work = Repository(root / "work")
        self.bare = root / "remote.git"
        self.daemon: subprocess.Popen[bytes] | None = None
        ip("netns", "add", name)
        ip("-n", name, "link", "set", "lo", "up")

    def serve(self) -> None:
        """Start the daemon."""
        self.daemon = subprocess.Popen(
            [
                program("ip"), "netns", "exec", self.name, "git", "daemon", "--export-all", "--reuseaddr",
                f"--base-path={self.root}", str(self.root),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def gone(self) -> None:
        """End it."""
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait()
            self.daemon = None

    def commit(self, files: dict[str, str | None]) -> str:
        """Commit and push."""
        revision = self.work.commit(files)
        if not self.bare.exists():
            self.work.git("clone", "--quiet", "--bare", ".", str(self.bare))
        self.work.git("push", "--quiet", str(self.bare), "main")
        return revision


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "hub", f"daq{os.getpid()}")
    yield hub
    hub.gone()
    ip("netns", "delete", hub.name)


@pytest.fixture
def hosts(tmp_path: Path, hub: Hub) -> Iterator[list[Host]]:
    hosts = [Host(tmp_path / f"host{n}", n, hub.name) for n in (1, 2, 3)]
    yield hosts
    for host in hosts:
        host.close()


def sleeper(name: str, site: str, state: str = "running") -> str:
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec: {{type: exec, command: [sleep, "100000"], state: {state}, nodeSelector: {{site: "{site}"}}}}
"""


def applied(host: Host) -> str | None:
    try:
        revision: str | None = host.source()["applied"]
    except FileNotFoundError:
        return None
    return revision


def test_hosts_of_one_remote_take_their_shares_and_hand_over_without_doubling(
    hub: Hub, hosts: list[Host], tmp_path: Path
) -> None:
    revision = hub.commit({f"desired/s{n}.yaml": sleeper(f"s{n}", str(n)) for n in (1, 2, 3)})
    hub.serve()
    for host in hosts:
        host.start(f"site={host.number}")
    for host in hosts:
        wait_until(lambda host=host: applied(host) == revision, f"host {host.number} to apply", 30)  # type: ignore[misc]
        host.wait_ready(f"s{host.number}")
    assert [sorted(n for n in ("s1", "s2", "s3") if host.pids(n)) for host in hosts] == [
        ["s1"],
        ["s2"],
        ["s3"],
    ]

    fleet = tmp_path / "fleet.yaml"
    lines = [
        f'h{h.number}: {{url: "http://{h.address}:8000", labels: {{site: "{h.number}"}}}}\n' for h in hosts
    ]
    fleet.write_text("".join(lines) + "h4: {url: 'http://10.77.1.9:8000'}\n")
    told = subprocess.run(
        [program("ip"), "netns", "exec", hub.name, DAQ, "status", "--fleet", fleet],
        env=hosts[0].environ, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 1  # h4 is not there
    rows = {tuple(line.split()[:3]) for line in told.stdout.splitlines()}
    assert {("healthy", f"h{n}", f"s{n}") for n in (1, 2, 3)} <= rows
    assert "down  h4: cannot reach http://10.77.1.9:8000" in told.stdout

    before = [host.pids() for host in hosts]
    hub.gone()
    for host in hosts:
        wait_until(lambda host=host: host.source()["error"], f"host {host.number} to miss the remote", 30)  # type: ignore[misc]
    missed = [host.source()["fetched_at"] for host in hosts]
    assert [host.pids() for host in hosts] == before
    hub.serve()
    for host, at in zip(hosts, missed, strict=True):
        wait_until(lambda host=host, at=at: host.source()["fetched_at"] > at, "the remote is back", 30)  # type: ignore[misc]
    assert [host.pids() for host in hosts] == before

    doubled, watching = [], threading.Event()

    def watch() -> None:
        while not watching.wait(0.01):
            if hosts[0].pids("s1") and hosts[1].pids("s1"):
                doubled.append(True)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        hub.commit({"desired/s1.yaml": sleeper("s1", "1", "stopped")})
        wait_until(lambda: not hosts[0].pids("s1"), "the first host to stop it", 30)
        hub.commit({"desired/s1.yaml": sleeper("s1", "2")})
        wait_until(lambda: hosts[1].pids("s1"), "the second host to start it", 30)
    finally:
        watching.set()
        watcher.join()
    assert not doubled
    assert not hosts[0].pids("s1")
