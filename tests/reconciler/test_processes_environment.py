"""What a child sees of us, and what keeps it from being started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import LiveFile, SpecFile
from reconciler.processes import StartError
from tests.reconciler.children import Plant, plant_in
from tests.waiting import wait_until

ENVIRON = {
    "PATH": os.environ["PATH"],
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "PLANT_TOKEN": "s3cret-token",
    "ADMIN_PASSWORD": "never-to-be-seen",
}
PRINT = "import json, os; print(json.dumps([dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid()]))"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with plant_in(tmp_path, ENVIRON) as plant:
        yield plant


def printed(plant: Plant, **spec: Any) -> tuple[dict[str, str], str, bool]:
    plant.processes.start(plant.spec(sys.executable, "-c", PRINT, **spec), LiveFile(), base=plant.root)
    plant.wait_for_end()
    environ, directory, leads = json.loads(plant.log())
    return environ, directory, leads


def refused(plant: Plant, *command: str, **spec: Any) -> StartError:
    with pytest.raises(StartError) as error:
        plant.processes.start(plant.spec(*command, **spec), LiveFile(), base=plant.root)
    assert plant.look() == {}
    assert plant.ended == []
    return error.value


def test_a_child_sees_the_contracts_variables_and_nothing_else(plant: Plant) -> None:
    environ, directory, leads = printed(plant)
    assert environ.keys() - {"LC_CTYPE"} == {
        "PATH", "HOME", "LANG", "DAQ_NAME", "DAQ_DIGEST", "DAQ_STATE_DIR", "DAQ_INSTANCE",
    }  # fmt: skip
    assert environ["DAQ_STATE_DIR"] == str(plant.state.root)
    assert environ["PATH"].startswith(str(Path(sys.executable).parent) + ":")
    assert (directory, leads) == (str(plant.root), True)


def test_values_of_env_are_looked_up_and_variables_named_elsewhere_are_passed(plant: Plant) -> None:
    (plant.root / "password").write_text("from-file\n")
    environ, _, _ = printed(
        plant,
        env={"env": "production", "TOKEN": {"env": "PLANT_TOKEN"}, "PASSWORD": {"file": "password"}},
        security={"user": {"password": {"env": "ADMIN_PASSWORD"}}},
    )
    assert environ["env"] == "production"
    assert environ["TOKEN"] == environ["PLANT_TOKEN"] == "s3cret-token"
    assert environ["PASSWORD"] == "from-file"
    assert environ["ADMIN_PASSWORD"] == "never-to-be-seen"


def test_secrets_are_hidden_in_the_end_of_a_log(plant: Plant) -> None:
    spec = plant.spec("sh", "-c", "echo token is $T; exit 1", env={"T": {"env": "PLANT_TOKEN"}})
    plant.processes.start(spec, LiveFile(), base=plant.root)
    assert plant.wait_for_end().tail == "token is ***"
    assert "s3cret" not in plant.state.spec("a", "d1").read_text()


def test_the_end_of_a_log_is_that_of_the_last_run_and_at_most_1_kib(plant: Plant) -> None:
    plant.processes.start(plant.spec("echo", "first"), LiveFile(), base=plant.root)
    assert plant.wait_for_end().tail == "first"
    plant.processes.start(plant.spec("seq", "1000"), LiveFile(), base=plant.root)
    tail = plant.wait_for_end().tail
    assert tail.endswith("\n999\n1000")
    assert len(tail) <= 1024
    assert "first" not in tail


def test_a_variable_that_is_not_set_is_named_with_its_place(plant: Plant) -> None:
    error = refused(plant, "true", env={"T": {"env": "MISSING"}})
    assert error.reason == "ConfigurationInvalid"
    assert error.message == "cannot start a: spec.env.T: environment variable MISSING is not set for daq"


def test_a_file_that_cannot_be_read_is_named_with_its_place(plant: Plant) -> None:
    error = refused(plant, "true", devices=[{"password": {"file": "gone"}}])
    assert error.reason == "ConfigurationInvalid"
    assert f"a: spec.devices[0].password: cannot read {plant.root}/gone" in error.message


def test_a_program_that_is_not_there_is_named(plant: Plant) -> None:
    error = refused(plant, "no-such-program")
    assert error.reason == "StartFailed"
    assert "program 'no-such-program' is in no directory of PATH" in error.message


def test_a_program_that_cannot_be_executed_starts_nothing(plant: Plant) -> None:
    (plant.root / "broken").write_bytes(b"\x7fELF no program")
    (plant.root / "broken").chmod(0o755)
    error = refused(plant, "./broken")
    assert error.reason == "StartFailed"
    assert "cannot start a" in error.message


def test_a_relative_program_is_found_from_the_base_in_any_working_directory(plant: Plant) -> None:
    (plant.root / "tool").write_text("#!/bin/sh\npwd\n")
    (plant.root / "tool").chmod(0o755)
    (plant.root / "work").mkdir()
    spec = plant.spec("./tool", workingDirectory="work")
    plant.processes.start(spec, LiveFile(), base=plant.root)
    assert plant.wait_for_end().tail == str(plant.root / "work")


def test_a_built_in_runs_the_collectors_package_on_its_spec_file(plant: Plant) -> None:
    spec = SpecFile("Collector", "press-1", "d9", {"type": "modbus"})
    plant.processes.start(spec, LiveFile(), base=plant.root)
    seen = wait_until(lambda: plant.look().get("press-1") or plant.ended, "the built-in")
    command = getattr(seen[0], "command", None)
    expected = (sys.executable, "-m", "collectors", str(plant.state.spec("press-1", "d9")))
    assert command in (None, expected)


def test_a_reconciler_inside_a_childs_environment_does_not_take_itself_for_a_child(plant: Plant) -> None:
    instance = plant.start("sleep", "60")
    script = (
        "import subprocess, sys; from pathlib import Path\n"
        "from reconciler.processes import Processes, open_state_dir\n"
        "helper = subprocess.Popen(['sleep', '60'])\n"
        "found = Processes(open_state_dir(Path(sys.argv[1]))).observe({}).instances['a']\n"
        "print([m.pid for i in found for m in i.members]); helper.kill(); helper.wait()"
    )
    environ = os.environ | {
        "DAQ_STATE_DIR": str(plant.state.root), "DAQ_NAME": "a", "DAQ_INSTANCE": instance.instance,
    }  # fmt: skip
    arguments = [sys.executable, "-c", script, str(plant.state.root)]
    done = subprocess.run(arguments, env=environ, capture_output=True, text=True, check=True)
    assert instance.leader is not None
    assert done.stdout.strip() == str([instance.leader.pid])
