"""The command line as a whole: help in groups, every command there, nothing imported that is not needed."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from reconciler import __version__
from reconciler.cli import COMPLETE
from reconciler.cli.commands import COMMANDS, GROUPS, Entry, function_of, program

TOP = Path(__file__).parents[2]
DAQ = Path(sys.executable).with_name("daq")


def daq(*arguments: str, cwd: str = "/", **environ: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/usr/bin:/bin", **environ}
    return subprocess.run([DAQ, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_and_says_what_it_does(name: str) -> None:
    module = import_module(f"reconciler.cli.{COMMANDS[name].module}")
    function = getattr(module, function_of(name), None)
    assert hasattr(module, "app") or inspect.getdoc(function)


def every_command() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name in COMMANDS:
        command = program().get_command(None, name)
        below = getattr(command, "commands", {})
        found += [(name, command), *((f"{name} {n}", c) for n, c in below.items())]
    return found


@pytest.mark.parametrize(("name", "command"), every_command())
def test_help_says_exit_codes_and_has_a_sentence_for_every_option_within_80_columns(
    name: str, command: Any
) -> None:
    if not hasattr(command, "commands"):
        assert re.search(r"Exit\s0", command.help)
        default = {p.name for p in command.params if p.default not in (None, False, "", 0)}
        for parameter in command.params:
            assert parameter.help.endswith((".", ")")), f"{name} {parameter.opts}"
            assert all(o == o.lower() for o in parameter.opts if o.startswith("--")), "typer took the metavar"
            assert parameter.name not in default or parameter.show_default or "Default" in parameter.help
    context = command.make_context(name, [], resilient_parsing=True, terminal_width=80, max_content_width=80)
    lines = command.get_help(context).splitlines()
    assert max(map(len, lines)) <= 80
    assert not {"╭", "│"} & set("".join(lines)), "all commands look the same"


@pytest.mark.parametrize("entry", [e for e in COMMANDS.values() if e.example], ids=lambda e: e.example)
def test_examples_are_taken(entry: Entry) -> None:
    words = shlex.split(entry.example)
    command = program().get_command(None, words[1])
    command.make_context(words[1], words[2:])


def test_help_lists_all_commands_in_groups_within_80_columns() -> None:
    lines = daq("--help").stdout.splitlines()
    assert [line[:-1] for line in lines if line.endswith(":") and line[:-1] in GROUPS] == list(GROUPS)
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= set(COMMANDS)
    assert max(map(len, lines)) <= 80


def test_help_of_a_command_tells_its_own_options_from_common_ones() -> None:
    text = daq("status", "-h").stdout
    own, _, common = text.partition("Common options:")
    assert "--watch" in own
    assert "--state-dir" in common
    assert "--state-dir" not in own


def test_a_newcomer_is_told_what_to_do_first(tmp_path: Path) -> None:
    assert "daq init" in daq(cwd=str(tmp_path)).stdout
    (tmp_path / "desired").mkdir()
    assert "daq diff" in daq(cwd=str(tmp_path)).stdout


def test_help_imports_no_command_and_status_no_loop() -> None:
    probe = "import reconciler.cli.status, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"reconciler.loop.reconcile", "reconciler.desired", "asyncio", "yaml", "psutil"} & set(loaded)


def test_the_tab_key_completes_commands_and_names_of_collectors(tmp_path: Path) -> None:
    told = [("press-1", "冲压机", "modbus"), ("oven", None, "exec")]
    processes = [{"name": name, "title": title, "type": kind} for name, title, kind in told]
    (tmp_path / "status.json").write_text(json.dumps({"processes": processes}))
    assert "complete" in daq("completion", "bash").stdout

    def complete(words: str, at: int) -> list[str]:
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(at), COMPLETE: "complete_bash"}
        return daq(DAQ_STATE_DIR=str(tmp_path), **asked).stdout.split()

    assert complete("daq sto", 1) == ["stop"]
    assert complete("daq status pr", 2) == ["press-1"]
    assert complete("daq restart ", 2) == ["press-1", "oven"]


def test_a_name_that_is_nearly_right_is_answered_with_the_right_one() -> None:
    assert "Did you mean 'status'" in daq("statu").stderr


def test_the_version_is_told() -> None:
    assert daq("--version").stdout == f"daq {__version__}\n"


DOCUMENTS = [TOP / "README.md", TOP / "README.zh-CN.md", *sorted((TOP / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_name_commands_and_options_that_there_are(document: Path) -> None:
    known = dict(every_command())
    for line in re.findall(r"(?:`|^\$ )daq ([a-z][^`\n]*)", document.read_text(), re.MULTILINE):
        words = line.partition("#")[0].split()
        names = words[0].split("\\|")[0].split("|")
        assert set(names) <= set(known), f"daq {line}"
        below = " ".join([names[0], *re.split(r"\W+", words[1])[:1]]) if len(words) > 1 else names[0]
        command = known.get(below, known[names[0]])
        taken = {o for p in command.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
        used = {f for w in words for f in re.findall(r"^\[?(--?[a-z][a-z-]*)", w)}
        assert used <= taken or hasattr(command, "commands"), f"daq {line}"
