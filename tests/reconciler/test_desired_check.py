"""`daq validate` judges files as they stand; the demo plant is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.options import Options
from reconciler.cli.validate import schema, validate
from reconciler.desired import check, check_new

SINK = "apiVersion: daq/v1\nkind: Sink\nmetadata: {name: plant}\nspec: {type: sqlite}\n"
APP = "apiVersion: daq/v1\nkind: Collector\nmetadata: {name: app}\nspec: {type: exec, command: [app]}\n"


def test_the_demo_plant_is_valid() -> None:
    manifests, errors = check([], Path(__file__).parents[2] / "desired")
    assert not errors
    assert {"press-line", "plant-simulator", "local"} <= set(manifests)


def test_a_file_is_judged_with_its_neighbours_and_only_its_errors_are_shown(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SINK)
    (tmp_path / "b.yaml").write_text(SINK)
    (tmp_path / "c.yaml").write_text(APP)
    assert [e.path for e in check([tmp_path / "a.yaml"], tmp_path)[1]] == [str(tmp_path / "a.yaml")]
    assert not check([tmp_path / "c.yaml"], tmp_path)[1]


def test_a_file_elsewhere_is_judged_alone(tmp_path: Path) -> None:
    (tmp_path / "desired").mkdir()
    (tmp_path / "a.yaml").write_text(SINK)
    (tmp_path / "b.yaml").write_text(SINK)
    assert set(check([tmp_path / "a.yaml"], tmp_path / "desired")[0]) == {"plant", "local"}


def test_what_is_not_written_yet_is_judged_as_a_set_that_lies_there(tmp_path: Path) -> None:
    (tmp_path / "here.json").touch()
    there = tmp_path / "desired"  # made when they are written
    app = APP.replace("command", "configFiles: [here.json], command")
    assert not check_new({"a.yaml": app, "b.yaml": SINK}, there)
    (missing,) = check_new({"a.yaml": app}, there / "deeper")
    assert (missing.path, missing.where) == ("a.yaml", "spec.configFiles[0]")
    tag = "{name: t, address: 40001, type: int16}"
    reads = APP.replace(
        "exec, command: [app]", f"modbus, measurement: m, devices: [{{host: h}}], tags: [{tag}]"
    )
    other = reads.replace("name: app", "name: other").replace("int16}", "int16, scale: 0.1}")
    (locked,) = check_new({"a.yaml": reads, "b.yaml": other}, there)
    assert "is stored as integer" in locked.message


@pytest.mark.parametrize(("security", "warned"), [("Sign", True), ("SignAndEncrypt", False), (None, True)])
def test_validate_warns_of_a_password_over_an_open_channel(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], security: str | None, warned: bool
) -> None:
    chosen = f", security: {{policy: Basic256Sha256, mode: {security}}}" if security else ""
    (tmp_path / "a.yaml").write_text(
        "apiVersion: daq/v1\nkind: Collector\nmetadata: {name: boiler}\nspec:\n  type: opcua\n"
        f"  deviceDefaults: {{user: {{name: me, password: {{env: PW}}}}{chosen}}}\n"
        "  devices: [{url: 'opc.tcp://plc:4840'}]\n  tags: [{name: x, node: i=2258}]\n"
    )
    validate(Options(desired=tmp_path))
    said = "warning: boiler sends a password to opc.tcp://plc:4840 over a channel that is not encrypted"
    assert (said in capsys.readouterr().err) == warned


def test_validate_exits_2_with_one_line_for_each_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(APP.replace("command", "comand"))
    with pytest.raises(BaseException) as caught:
        validate(Options(desired=tmp_path))
    assert getattr(caught.value, "exit_code", None) == 2
    out = capsys.readouterr().out.splitlines()
    assert out == [
        f"{tmp_path}/a.yaml:4:7: spec: command is missing",
        f"{tmp_path}/a.yaml:4:20: spec.comand: the key comand is not known here; did you mean command?",
    ]


def test_validate_says_on_stderr_that_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(APP)
    validate(Options(desired=tmp_path))
    assert capsys.readouterr() == ("", "1 manifest is valid\n")


def test_schema_prints_the_schema(capsys: pytest.CaptureFixture[str]) -> None:
    schema(Options(), "sink")
    assert '"title": "daq Sink"' in capsys.readouterr().out
