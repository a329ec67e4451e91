"""The Dockerfile against the checkout it builds from, and what compose and pods expect of its image."""

from __future__ import annotations

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from reconciler.cli.commands import program
from reconciler.render.pod import UID

TOP = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((TOP / "deploy" / "compose" / "compose.yaml").read_text())


def steps() -> list[tuple[str, str]]:
    """Instruction and arguments of each line, continued ones joined."""
    text = re.sub(r"^#.*\n", "", (TOP / "deploy" / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = filter(None, text.replace("\\\n", " ").splitlines())
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def the(instruction: str) -> str:
    """The arguments of the last such step, which is in force."""
    return [arguments for name, arguments in steps() if name == instruction][-1]


def test_what_the_build_reads_is_in_the_context() -> None:
    ignored = (TOP / ".dockerignore").read_text().split()
    build = next(arguments for name, arguments in steps() if name == "RUN")
    named = re.findall(r"-r (\S+)", build)
    backend = [
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "reconciler/web/build_backend.py",
        "reconciler/web/src",
    ]
    assert named == ["requirements.lock"]
    for path in [*named, *backend, "reconciler", "collectors"]:
        assert (TOP / path).exists(), path
        parts = Path(path).parts
        above = ["/".join(parts[: i + 1]) for i in range(len(parts))]
        assert not [p for p in ignored for a in above if fnmatch(a, p.removeprefix("**/"))], path


def test_what_is_copied_from_the_first_stage_was_made_there() -> None:
    stages = [shlex.split(arguments) for name, arguments in steps() if name == "FROM"]
    assert [stage[-1] for stage in stages] == ["build", "python:3.11-slim"]
    assert stages[0][0] == stages[1][0], "its packages hold compiled code for that Python"
    copied = next(shlex.split(a) for n, a in steps() if n == "COPY" and "--from=build" in a)
    built = next(arguments for name, arguments in steps() if name == "RUN")
    assert built.count(f"--prefix={copied[1]}") == 2, "daq and what it depends on"


@pytest.mark.parametrize("instruction", ["HEALTHCHECK", "CMD"])
def test_daq_takes_the_commands_of_the_image(instruction: str) -> None:
    words = json.loads(re.sub(r"^.*?\[", "[", the(instruction)))
    assert json.loads(the("ENTRYPOINT"))[:2] == ["tini", "--"], "it reaps what exec programs leave behind"
    daq(words[1:] if words[0] == "daq" else words)


def test_daq_takes_the_command_of_compose() -> None:
    daq([re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in COMPOSE["services"]["daq"]["command"]])


def daq(arguments: list[str]) -> None:
    """Parse a command line and stop short of carrying it out."""
    command = program().get_command(None, arguments[0])
    command.make_context(arguments[0], arguments[1:])


def test_the_image_runs_as_the_user_whom_pods_and_volumes_are_for() -> None:
    made = [arguments for name, arguments in steps() if name == "RUN"][-1]
    assert f"useradd --uid {UID} " in made
    assert the("USER") == "daq"
    order = [name for name, _ in steps()]
    assert order.index("USER") > max(i for i, name in enumerate(order) if name == "RUN")
    directories = re.findall(r"/\S+", made.partition("mkdir -p")[2].partition("&&")[0])
    for path in [v.split(":")[1] for v in COMPOSE["services"]["daq"]["volumes"]] + [the("VOLUME")]:
        assert any(Path(d).is_relative_to(path) for d in directories), (
            f"{path} is made, and daq's, in the image"
        )
    header = (TOP / "deploy" / "compose" / "compose.yaml").read_text()
    assert f"install -d -o {UID} -g {UID} logs" in header


def test_what_runs_the_image_waits_for_its_end() -> None:
    """Docker kills after ten seconds unless it is told otherwise; collectors may take their grace."""
    assert COMPOSE["services"]["daq"]["stop_grace_period"] == "2m"
    assert the("STOPSIGNAL") == "SIGTERM"
