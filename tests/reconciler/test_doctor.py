"""`daq doctor` tells what is there from what is not, and what to do about it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from collectors.contract import StateDir
from reconciler.doctor.host import check_host
from reconciler.doctor.reach import check_reach
from reconciler.model import Manifest


@pytest.fixture
def listening() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def host(
    state: Path, address: tuple[str, int] | None = None, collectors: int = 1
) -> dict[str, tuple[str, str]]:
    found = check_host(StateDir(state), address, collectors, git=True)
    return {f.check: (f.level, f.message) for f in found}


def test_a_sound_machine_fails_nothing(tmp_path: Path) -> None:
    assert {level for level, _ in host(tmp_path).values()} <= {"ok", "warn"}


def test_a_state_directory_that_is_not_there_is_no_failure(tmp_path: Path) -> None:
    assert host(tmp_path / "a" / "b")["state"] == ("ok", f"{tmp_path}/a/b will be made")
    assert not (tmp_path / "a").exists()


def test_too_few_descriptors_are_told_with_the_number_to_set(tmp_path: Path) -> None:
    level, message = host(tmp_path, collectors=10**7)["limits"]
    assert level == "fail"
    assert "ulimit -n" in message


def test_too_little_memory_for_so_many_collectors_is_a_warning(tmp_path: Path) -> None:
    level, message = host(tmp_path, collectors=10**7)["memory"]
    assert (level, "docs/density.md" in message) == ("warn", True)


def test_a_port_that_is_taken_is_named(tmp_path: Path, listening: socket.socket) -> None:
    with listening:
        address = listening.getsockname()
        level, message = host(tmp_path, address)["endpoint"]
    assert (level, f"127.0.0.1:{address[1]}" in message, "--listen" in message) == ("fail", True, True)
    assert host(tmp_path, address)["endpoint"][0] == "ok"


def manifest(name: str, **spec: object) -> Manifest:
    return Manifest("Sink" if "url" in spec else "Collector", name, f"{name}.yaml", 1, spec, "1-0")


def test_devices_and_sinks_that_take_no_connection_are_told_with_who_needs_them(
    listening: socket.socket,
) -> None:
    port = listening.getsockname()[1]
    with socket.create_server(("127.0.0.1", 0)) as closed:
        away = closed.getsockname()[1]
    manifests = {
        "press": manifest(
            "press",
            type="modbus",
            deviceDefaults={"host": "127.0.0.1"},
            devices=[{"port": port}, {"port": away}],
        ),
        "boiler": manifest("boiler", type="opcua", devices=[{"url": f"opc.tcp://127.0.0.1:{port}"}]),
        "plant": manifest("plant", type="influxdb", url=f"http://127.0.0.1:{away}"),
    }
    with listening:
        found = [(f.level, f.check, f.message) for f in check_reach(manifests)]
    assert found[0] == ("ok", "device", f"127.0.0.1:{port} answers (boiler, press)")
    level, _, message = found[1]
    assert (level, f"127.0.0.1:{away} (plant, press): Connection refused" in message) == ("fail", True)
    assert len(found) == 2
