"""Rendered files are what their managers take, and what stands in `deploy/` is what is rendered."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes_validate import validate

from reconciler import desired
from reconciler.model import Desired
from reconciler.render.kubernetes import kubernetes
from reconciler.render.pod import STATE_DIR, RenderError
from reconciler.render.systemd import unit
from tests.programs import program

DEPLOY = Path(__file__).parents[2] / "deploy"
STATE = "/var/lib/daq"
INSTALLED = ("--desired", "/etc/daq/desired", "--state-dir", STATE)
NEWEST = ("1.35", "1.36", "1.37")
WORST_EXPOSURE = 1.7
"""Of ten, as systemd-analyze counts; what a collector cannot do without is most of it."""

COLLECTOR = """apiVersion: daq/v1
kind: Collector
metadata: {name: press_1, title: 冲压机, labels: {line: "1e3", hall: "a b"}}
spec:
  type: modbus
  sinks: [plant]
  nodeSelector: {site: north}
  devices: [{host: 10.0.0.1}]
  tags: [{name: t, address: 40001.10, type: bool}, {name: "1e3", address: 0x10 , type: int16}]
  stop: {grace: 15s}
  resources: {memory: 256MiB}
""".replace("0x10 ", '"holding:0x10"')
SINK = """apiVersion: daq/v1
kind: Sink
metadata: {name: plant}
spec: {type: influxdb, url: "http://db:8086", org: a, bucket: b, token: {env: INFLUX_TOKEN}}
"""


def wanted(directory: Path, *texts: str) -> Desired:
    directory.mkdir(exist_ok=True)
    for i, text in enumerate(texts):
        (directory / f"{i}.yaml").write_text(text)
    manifests, errors = desired.check([], directory)
    assert not errors
    return Desired(manifests)


def objects(files: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {
        f"{o['kind']}/{o['metadata']['name']}": o for text in files.values() for o in yaml.safe_load_all(text)
    }


def test_the_unit_in_deploy_is_the_rendered_one() -> None:
    (name, text), *_ = unit("/opt/daq/current/bin/daq", INSTALLED, STATE, stop_collectors=False).items()
    assert (DEPLOY / "systemd" / name).read_text() == text


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["--node", "edge"], "daq run --desired {here}/desired --node edge"),
        (["--git", "ssh://git@server/plant.git"], "daq run --git ssh://git@server/plant.git"),
        (["--git", "plant", "--label", "site=north"], "daq run --git {here}/plant --label site=north"),
    ],
)
def test_the_unit_runs_what_was_given_from_wherever_it_is_started(
    arguments: list[str], command: str, tmp_path: Path
) -> None:
    (tmp_path / "plant").mkdir()
    (tmp_path / "desired").mkdir()
    daq = Path(sys.executable).parent / "daq"
    done = subprocess.run(
        [daq, "render", "systemd", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    (line,) = re.findall(r"^ExecStart=.*/bin/(.*)$", done.stdout, re.MULTILINE)
    assert line == command.format(here=tmp_path)


@pytest.mark.parametrize("stop_collectors", [False, True])
def test_systemd_takes_the_unit_and_finds_it_hardened(stop_collectors: bool, tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    (name, text), *_ = unit("/bin/true", ["--node", "50% $x"], STATE, stop_collectors=stop_collectors).items()
    file = tmp_path / name
    file.write_text(text)
    verified = subprocess.run([analyze, "verify", file], capture_output=True, text=True, check=False)
    assert (verified.returncode, verified.stderr) == (0, "")
    security = subprocess.run(
        [analyze, "security", "--offline=true", f"--threshold={WORST_EXPOSURE * 10:.0f}", file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert security.returncode == 0, security.stdout[-200:]


def test_a_restart_of_the_service_leaves_collectors_alone_unless_asked() -> None:
    leaves = unit("/daq", [], STATE, stop_collectors=False)["daq.service"]
    stops = unit("/daq", [], STATE, stop_collectors=True)["daq.service"]
    assert "KillMode=process\n" in leaves
    assert "PrivateTmp" not in leaves
    assert "daq down" in leaves.partition("Description=")[2].partition("\n")[0]
    assert "KillMode=mixed\n" in stops
    assert "--stop-on-exit\n" in stops


def test_the_service_may_write_to_its_state_directory_wherever_that_is() -> None:
    named = unit("/daq", [], "/var/lib/daq-2", stop_collectors=False)["daq.service"]
    assert "StateDirectory=daq-2\n" in named
    assert "ExecStartPre=-ln -sT /var/log/daq-2 /var/lib/daq-2/logs\n" in named
    elsewhere = unit("/daq", [], "/srv/plant one", stop_collectors=False)["daq.service"]
    assert 'ReadWritePaths="/srv/plant one"\n' in elsewhere
    assert "StateDirectory" not in elsewhere


@pytest.mark.parametrize("version", NEWEST)
def test_a_cluster_takes_every_object(version: str, tmp_path: Path) -> None:
    for each in objects(kubernetes(wanted(tmp_path, COLLECTOR, SINK), "daq:1")).values():
        validate(each, version, strict=True)


def test_a_pod_runs_one_collector_with_its_sinks_and_their_secrets(tmp_path: Path) -> None:
    found = objects(kubernetes(wanted(tmp_path, COLLECTOR, SINK), "daq:1"))
    assert set(found) == {"Service/daq", "ConfigMap/press-1", "StatefulSet/press-1"}
    assert set(found["ConfigMap/press-1"]["data"]) == {"press_1.yaml", "plant.yaml"}
    spec = found["StatefulSet/press-1"]["spec"]
    assert spec["replicas"] == 1
    pod = spec["template"]["spec"]
    assert pod["nodeSelector"] == {"site": "north"}
    loop, sender = pod["containers"]
    assert "--label=site=north" in loop["args"]
    assert loop["readinessProbe"]["exec"]["command"] == ["daq", "health", "--name", "press_1"]
    assert (loop["resources"]["limits"]["memory"], pod["terminationGracePeriodSeconds"]) == ("384Mi", 45)
    token = {"name": "INFLUX_TOKEN", "valueFrom": {"secretKeyRef": {"name": "daq", "key": "INFLUX_TOKEN"}}}
    assert token in sender["env"]
    assert token not in loop["env"], "who needs no secret gets none"


def test_each_sender_is_a_container_beside_the_loop_on_its_volume(tmp_path: Path) -> None:
    collector = COLLECTOR.replace("[plant]", "[plant, local]")
    found = objects(kubernetes(wanted(tmp_path, collector, SINK), "daq:1"))
    loop, *senders = found["StatefulSet/press-1"]["spec"]["template"]["spec"]["containers"]
    assert {"name": "DAQ_SENDERS", "value": "elsewhere"} in loop["env"]
    assert {"name": "DAQ_ALLOWED_HOST", "value": "press-1-0.daq"} in loop["env"]
    assert [(s["name"], s["args"]) for s in senders] == [
        ("send-plant", ["send", "plant"]),
        ("send-local", ["send", "local"]),
    ]
    for sender in senders:
        command = ["daq", "health", "--name", sender["args"][1]]
        assert sender["livenessProbe"]["exec"]["command"] == command
        assert sender["resources"]["limits"] == {"memory": "256Mi"}
        assert sender["volumeMounts"] == loop["volumeMounts"]
        state = {"name": "DAQ_STATE_DIR", "value": STATE_DIR}
        assert state in loop["env"]
        assert state in sender["env"]
    mounts = {m["name"]: m["mountPath"] for m in loop["volumeMounts"]}
    assert STATE_DIR.startswith(mounts["state"] + "/"), "the top of a volume is root's"


def test_a_changed_sink_is_another_pod_and_a_changed_collector_is_not(tmp_path: Path) -> None:
    def template(name: str, collector: str, sink: str) -> Any:
        found = objects(kubernetes(wanted(tmp_path / name, collector, sink), "d"))
        return found["StatefulSet/press-1"]["spec"]["template"]

    before = template("a", COLLECTOR, SINK)
    assert template("b", COLLECTOR.replace("40001.10", "40001.11"), SINK) == before
    assert template("c", COLLECTOR, SINK.replace("bucket: b", "bucket: c")) != before


def test_sinks_whose_containers_would_have_one_name_are_told(tmp_path: Path) -> None:
    sinks = [SINK.replace("name: plant", f"name: {name}") for name in ("a_b", "a-b")]
    with pytest.raises(RenderError, match="a_b and a-b"):
        kubernetes(wanted(tmp_path, COLLECTOR.replace("[plant]", "[a_b, a-b]"), *sinks), "d")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1.2.3", '"::1"', "0.0.0.0"])
def test_what_is_here_on_a_host_and_not_in_a_pod_is_to_be_checked(host: str, tmp_path: Path) -> None:
    here = COLLECTOR.replace("10.0.0.1", host)
    files = kubernetes(wanted(tmp_path, here, SINK.replace("//db", "//localhost")), "d")
    assert re.findall(r"^# CHECK (\w+): .* is the pod itself", files["press-1.yaml"], re.MULTILINE) == [
        "press_1",
        "plant",
    ]


def test_what_no_rendering_brings_to_a_pod_is_to_be_checked(tmp_path: Path) -> None:
    program = """apiVersion: daq/v1
kind: Collector
metadata: {name: printer}
spec: {type: exec, command: [./print]}
"""
    tls = SINK.replace("url:", "tls: {ca: ca.pem}, url:").replace("http:", "https:")
    files = kubernetes(wanted(tmp_path, program, COLLECTOR.replace("[plant]", "[plant, local]"), tls), "d")
    assert files["printer.yaml"].startswith("# CHECK printer: its program must be in the image")
    assert "# CHECK plant: ca.pem has to be in the image\n" in files["press-1.yaml"]
    assert "# CHECK local: the database lies on the volume of this pod alone" in files["press-1.yaml"]


def test_what_others_reach_too_is_not(tmp_path: Path) -> None:
    assert "CHECK" not in "".join(kubernetes(wanted(tmp_path, COLLECTOR, SINK), "d").values())


def test_what_a_pod_reads_is_the_same_manifest(tmp_path: Path) -> None:
    before = wanted(tmp_path / "a", COLLECTOR, SINK)
    data = objects(kubernetes(before, "daq:1"))["ConfigMap/press-1"]["data"]
    after = wanted(tmp_path / "b", *data.values())
    assert {n: m.digest for n, m in after.manifests.items()} == {
        n: m.digest for n, m in before.manifests.items()
    }
    assert after.manifests["press_1"].labels == before.manifests["press_1"].labels


def test_output_is_equal_for_equal_manifests_wherever_they_stand(tmp_path: Path) -> None:
    one = kubernetes(wanted(tmp_path / "a", COLLECTOR, SINK), "daq:1")
    two = kubernetes(wanted(tmp_path / "b", SINK, "# x\n" + COLLECTOR), "daq:1")
    assert one == two


def test_a_stopped_collector_has_no_pod(tmp_path: Path) -> None:
    stopped = COLLECTOR.replace("type: modbus", "type: modbus\n  state: stopped")
    assert (
        objects(kubernetes(wanted(tmp_path, stopped, SINK), "d"))["StatefulSet/press-1"]["spec"]["replicas"]
        == 0
    )


def test_a_secret_in_a_file_has_no_equal(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="env: NAME"):
        kubernetes(wanted(tmp_path, COLLECTOR, SINK.replace("env: INFLUX_TOKEN", "file: token")), "d")


def test_names_that_fall_together_are_told(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match="both are press-1"):
        kubernetes(wanted(tmp_path, COLLECTOR, COLLECTOR.replace("press_1", "press-1"), SINK), "d")


def test_compose_is_as_its_specification_has_it(tmp_path: Path) -> None:
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    file = DEPLOY / "compose" / "compose.yaml"
    done = subprocess.run([*check, file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(file.read_text().replace("image: influxdb:1.8", "imag: influxdb:1.8"))
    assert subprocess.run([*check, wrong], capture_output=True, check=False).returncode == 1


def test_compose_names_what_lies_beside_it() -> None:
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    mounts = [v for s in compose["services"].values() for v in s["volumes"] if v.startswith("./")]
    for mount in mounts:
        source = mount.partition(":")[0]
        assert source == "./logs" or (DEPLOY / "compose" / source).exists()
    named = {v.partition(":")[0] for s in compose["services"].values() for v in s["volumes"]} - {
        m.partition(":")[0] for m in mounts
    }
    assert named == set(compose["volumes"])
    assert compose["services"]["influxdb"]["environment"] == {"INFLUXDB_DB": "iot_data"}
    _, errors = desired.check([], DEPLOY / "compose" / "desired")
    assert not errors
