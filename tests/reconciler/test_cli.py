"""Options stand on either side of a command; tables align for people."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.options import Options, options_last
from reconciler.cli.text import duration, table, width
from reconciler.desired import check, shared_addresses


@pytest.mark.parametrize(
    ("given_", "moved"),
    [
        (["--desired", "d", "diff", "a"], ["diff", "a", "--desired", "d"]),
        (["--desired=d", "--node", "n", "run"], ["run", "--desired=d", "--node", "n"]),
        (["diff", "--desired", "d"], ["diff", "--desired", "d"]),
        (["--state-dir", "s", "run", "--", "x"], ["run", "--state-dir", "s", "--", "x"]),
        (["--help"], ["--help"]),
        (["--node", "n"], ["--node", "n"]),
        ([], []),
    ],
)
def test_common_options_may_stand_before_the_command(given_: list[str], moved: list[str]) -> None:
    assert options_last(given_) == moved


def test_labels_name_this_node() -> None:
    node = Options(node="edge", label=["site=north", "empty="]).this_node
    assert (node.name, node.labels) == ("edge", {"site": "north", "empty": ""})


@pytest.mark.parametrize("label", ["site", "=north"])
def test_a_label_without_key_or_value_is_refused(label: str) -> None:
    with pytest.raises(typer.BadParameter, match="KEY=VALUE"):
        _ = Options(label=[label]).this_node


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:8000", ("127.0.0.1", 8000)), ("[::1]:80", ("::1", 80)), ("none", None)],
)
def test_an_address_to_listen_on_is_host_and_port(text: str, address: tuple[str, int] | None) -> None:
    endpoint = Options(listen=text).endpoint
    assert (endpoint and (endpoint.host, endpoint.port)) == address


@pytest.mark.parametrize("text", ["8000", "host:", ":80", "host:99999", "host:x", ""])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="HOST:PORT"):
        _ = Options(listen=text).endpoint


def test_the_state_directory_is_local_where_manifests_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert Options().state.root == Path("/var/lib/daq")
    (tmp_path / "desired").mkdir()
    assert Options().state.root == tmp_path / ".daq"


def test_outside_a_plant_commands_are_about_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("reconciler.cli.options.SYSTEM_DESIRED", tmp_path / "etc")
    assert Options().directory == Path("desired"), "no service is installed here"
    (tmp_path / "etc").mkdir()
    assert Options().directory == tmp_path / "etc"
    assert Options(desired=Path("mine")).directory == Path("mine")
    (tmp_path / ".daq").mkdir()
    assert Options().directory == Path("desired"), "a plant that has lost its manifests is no other plant"


texts = st.text(st.sampled_from("ab 一号冲é́"), max_size=8)


@given(st.lists(st.tuples(texts, texts), min_size=1))
def test_columns_of_a_table_begin_at_one_place(rows: list[tuple[str, str]]) -> None:
    lines = table(("A", "B"), [(a, f"|{b}") for a, b in rows]).splitlines()
    assert len({width(line.partition("|")[0]) for line in lines[1:]}) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (-3, "0s"), (59, "59s"), (119, "119s"), (120, "2m"), (90_000, "25h"), (200_000, "2d")],
)
def test_a_duration_is_short(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_collectors_that_share_an_address_are_warned_of(tmp_path: Path) -> None:
    for name, port in (("a", 502), ("b", 502), ("c", 503)):
        (tmp_path / f"{name}.yaml").write_text(
            f"apiVersion: daq/v1\nkind: Collector\nmetadata: {{name: {name}}}\nspec:\n  type: modbus\n"
            f"  deviceDefaults: {{port: {port}}}\n  devices: [{{host: 10.0.0.1}}]\n"
            "  tags: [{name: t, address: 40001, type: int16}]\n"
        )
    manifests, errors = check([], tmp_path)
    assert not errors
    (warning,) = shared_addresses(manifests)
    assert warning.startswith("10.0.0.1:502 is read by 2 collectors (a, b)")
