"""The bundle's install.sh as root, and the service that systemd runs then: on a throw-away machine of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bundles import bundled_of_what_is_here, checkout, upgraded
from tests.e2e.machine import Machine, machine
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root starts a machine"),
]

NAMES = "local", "press", "simulator"
"""The sink and the two collectors of a first manifest."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout, with the unpacked bundle of a version that says so beside it as ``bundle``."""
    found = checkout(tmp_path_factory.mktemp("shared") / "source")
    bundled_of_what_is_here(found, "1.0.0").rename(found.parent / "bundle")
    return found


@pytest.fixture
def box(source: Path, tmp_path: Path) -> Iterator[Machine]:
    with machine(tmp_path, source.parent) as found:
        yield found


def install(box: Machine) -> str:
    """Of the bundle, and manifests of a first plant."""
    told = box.run("sh", "/mnt/bundle/install.sh")
    box.run("daq", "init", "/tmp/plant")
    box.run("sh", "-c", "cp /tmp/plant/desired/*.yaml /etc/daq/desired")
    wait_until(lambda: len(pids(box)) == len(NAMES), "collectors", 30)
    healthy(box)
    return told


def pids(box: Machine) -> dict[str, str]:
    """Those of collectors and sinks, as the process table has them."""
    lines = box.run("pgrep", "--full", "--list-full", "--", "-m collectors /var|daq simulate", fails=True)
    named = (line.split() for line in lines.splitlines())
    return {"simulator" if "simulate" in w else Path(w[-1]).name.partition(".")[0]: w[0] for w in named}


def loop(box: Machine) -> str:
    return box.shows("daq", "MainPID")


def healthy(box: Machine) -> None:
    box.run("daq", "wait", "--for", "healthy")


def restarted(box: Machine, before: str, times: int) -> None:
    """systemd has replaced the loop by itself; it has seen all that runs."""
    wait_until(lambda: box.shows("daq", "NRestarts") == str(times), "a restart by systemd", 30)
    wait_until(lambda: box.shows("daq", "ActiveState") == "active", "its readiness", 30)
    assert loop(box) != before
    healthy(box)


def test_the_installed_service_keeps_its_collectors_through_all_that_befalls_the_loop(
    box: Machine, source: Path
) -> None:
    # A loop that hangs is to be noticed within the time of a test.
    box.write("/etc/systemd/system/daq.service.d/test.conf", "[Service]\nWatchdogSec=3\n")
    assert "daq is running" in install(box)
    assert box.shows("daq", "ActiveState") == "active"
    assert box.shows("daq", "StatusText") == "converged: 2 collectors, 3 processes"
    owners = box.run("stat", "--format=%U %a", "/var/lib/daq", "/var/log/daq", "/var/log/daq/press.log")
    assert owners.split("\n")[:3] == ["daq 700", "daq 750", "daq 600"]
    assert box.run("readlink", "/var/lib/daq/logs") == "/var/log/daq\n"
    before = pids(box)
    assert set(before) == set(NAMES)

    killed = loop(box)
    box.run("kill", "-KILL", killed)
    restarted(box, killed, 1)
    assert pids(box) == before

    hung = loop(box)
    box.run("kill", "-STOP", hung)
    restarted(box, hung, 2)
    assert pids(box) == before

    box.run("systemctl", "restart", "daq")
    healthy(box)
    assert pids(box) == before

    upgraded(source.parent / "bundle", source, "1.0.1")
    told = box.run("sh", "/mnt/bundle/install.sh")
    assert "kept /opt/daq/1.0.0: collectors run from it" in told
    assert box.run("daq", "--version") == "daq 1.0.1\n"
    healthy(box)
    assert pids(box) == before

    box.run("systemctl", "stop", "daq")
    assert box.shows("daq", "ActiveState") == "inactive"
    assert pids(box) == before
    box.run("systemctl", "start", "daq")
    healthy(box)
    assert pids(box) == before
    box.run("daq", "down")
    wait_until(lambda: box.shows("daq", "ActiveState") == "inactive", "the end of the service")
    assert not pids(box)


def test_root_may_ask_the_service_and_locks_it_out_of_nothing(box: Machine) -> None:
    box.write("/etc/daq/environment", "DAQ_NODE=edge-7\n")
    install(box)
    assert "/var/lib/daq on edge-7: converged" in box.run("daq", "status")
    assert "nothing to do" in box.run("daq", "diff")
    for command in (
        "validate",
        "read press",
        "pause press --for 1h --reason test",
        "resume press",
        "audit",
        "events",
    ):
        box.run("daq", *command.split())
    assert "/etc/daq/desired/press.yaml" in box.run("daq", "stop", "press")
    wait_until(lambda: "press" not in pids(box), "the end of press")
    box.run("daq", "start", "press")
    healthy(box)
    assert box.run("find", "/var/lib/daq", "/var/log/daq", "!", "-user", "daq") == ""
    assert "temperature" in box.run("runuser", "-u", "daq", "--", "daq", "read", "press")
    told = box.run(
        "daq", "browse", "opc.tcp://127.0.0.1:4840", "--security", "Basic256Sha256/Sign", fails=True
    )
    assert told == ""

    box.run("sh", "-c", "daq render systemd --stop-collectors --desired /etc/daq/desired --state-dir /var/lib/daq"
                        " >/etc/systemd/system/daq.service")  # fmt: skip
    box.run("systemctl", "daemon-reload")
    box.run("systemctl", "restart", "daq")
    healthy(box)
    box.run("systemctl", "stop", "daq")
    assert not pids(box)
