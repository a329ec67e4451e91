"""`daq simulate opcua` and `daq browse` as a user runs them; asyncua looks at the values independently."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from asyncua import Client, ua

from collectors.contract import check_spec
from collectors.simulate.opcua_plant import plant

pytestmark = pytest.mark.e2e

DAQ = str(Path(sys.executable).with_name("daq"))
PATIENCE_S = 10.0


@contextmanager
def simulated(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The command on a free port, and its url, once it says that it listens."""
    command = [DAQ, "simulate", "opcua", "--port", "0", "--every", "100ms", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    options = ("--bad", "Press1.Pressure", "--retyped", "Boiler.Setpoint", "--max-nodes", "30")
    with simulated(*options) as (_, found):
        yield found


def daq(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([DAQ, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_every_variable_has_its_type_and_moves(url: str) -> None:
    async def main() -> None:
        async with Client(url) as client:
            index = await client.get_namespace_index("urn:daq:simulator")

            async def held(path: str) -> ua.DataValue:
                return await client.get_node(f"ns={index};s={path}").read_data_value(
                    raise_on_bad_status=False
                )

            values = {path: await held(path) for path in plant()}
            types = {path: v.Value.VariantType.name for path, v in values.items() if v.StatusCode.is_good()}
            assert {
                **{p: v.type for p, v in plant().items() if p in types},
                "Boiler.Setpoint": "Double",
            } == types
            assert values["Press1.Pressure"].StatusCode.name == "BadSensorFailure"
            first = values["Press2.Pressure"].Value.Value
            async with asyncio.timeout(PATIENCE_S):
                while (await held("Press2.Pressure")).Value.Value == first:
                    pass

    asyncio.run(main())


def test_a_call_of_more_nodes_than_it_allows_is_refused(url: str) -> None:
    async def main() -> None:
        async with Client(url) as client:
            nodes = [client.nodes.server_state] * 31
            assert len(await client.read_values(nodes[:30])) == 30
            with pytest.raises(ua.UaStatusCodeError, match="BadTooManyOperations"):
                await client.read_values(nodes)

    asyncio.run(main())


def test_browse_prints_the_tree_with_types_and_values(url: str, tmp_path: Path) -> None:
    done = daq("browse", url, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "Plant  nsu=urn:daq:simulator;s=Plant"
    assert "    Pressure  - = BadSensorFailure  nsu=urn:daq:simulator;s=Press1.Pressure" in lines
    assert any(
        line.startswith("    DoorOpen  Boolean = ")
        and line.endswith("  nsu=urn:daq:simulator;s=Press2.DoorOpen")
        for line in lines
    )
    assert len(lines) == len(plant()) + 4


def test_browse_gives_tags_that_are_valid_as_they_are(url: str, tmp_path: Path) -> None:
    done = daq("browse", url, "-o", "yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    tags = yaml.safe_load(done.stdout)["tags"]
    spec = {"type": "opcua", "devices": [{"url": url}], "tags": tags}
    assert check_spec("Collector", "plant", spec) == []
    by_name = {tag["name"]: tag for tag in tags}
    assert len(by_name) == len(tags) == len(plant()) - 2
    oil = by_name["press1_oil_temperature"]
    assert (oil["node"], oil["type"]) == ("nsu=urn:daq:simulator;s=Press1.OilTemperature", "float32")
    assert by_name["level"]["node"] == "nsu=urn:daq:simulator;s=Boiler.Level"


def test_browse_below_a_node_shows_only_that_part(url: str, tmp_path: Path) -> None:
    done = daq("browse", url, "--below", "nsu=urn:daq:simulator;s=Boiler", cwd=tmp_path)
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["Level", "Setpoint"]


MANIFEST = """\
apiVersion: daq/v1
kind: Collector
metadata: {{name: boiler}}
spec:
  type: opcua
  devices: [{{name: plc, url: "{url}", security: {{policy: Basic256Sha256, mode: SignAndEncrypt}}}}]
  tags: [{{name: level, node: "nsu=urn:daq:simulator;s=Boiler.Level"}}]
"""


def test_browse_connects_as_a_manifest_says(url: str, tmp_path: Path) -> None:
    (tmp_path / "desired").mkdir()
    (tmp_path / "desired" / "boiler.yaml").write_text(MANIFEST.format(url=url))
    below = ("--below", "nsu=urn:daq:simulator;s=Boiler")
    refused = daq("browse", "boiler", *below, cwd=tmp_path)
    assert refused.returncode == 1 and "is not trusted yet" in refused.stderr
    pki = tmp_path / ".daq" / "pki"
    (rejected,) = (pki / "rejected").iterdir()
    rejected.rename(pki / "trusted" / rejected.name)
    for what in ("boiler", "boiler/plc", "desired/boiler.yaml"):
        done = daq("browse", what, *below, cwd=tmp_path)
        assert [line.split()[0] for line in done.stdout.splitlines()] == ["Level", "Setpoint"], done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("opc.tcp://127.0.0.1:1",), 1, "cannot connect to opc.tcp://127.0.0.1:1: connection refused"),
        (("http://127.0.0.1",), 2, "is no endpoint; write for example opc.tcp://"),
        (("opc.tcp://127.0.0.1:1", "--user", "me"), 2, "a user needs a password"),
        (("boiler",), 1, "cannot browse boiler: there is no such collector of type opcua in desired"),
        (("gone.yaml",), 1, "cannot read gone.yaml: No such file or directory"),
    ],
)
def test_browse_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    (tmp_path / "desired").mkdir()
    done = daq("browse", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in " ".join(done.stderr.replace("│", " ").split())


def test_sigterm_ends_it_with_0() -> None:
    with simulated() as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0


def test_a_node_that_it_has_not_is_told_with_those_it_has(tmp_path: Path) -> None:
    done = daq("simulate", "opcua", "--bad", "Press9.Pressure", cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no node Press9.Pressure" in done.stderr
