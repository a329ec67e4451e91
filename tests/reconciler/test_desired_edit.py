"""`daq start` and `daq stop` change one value of one manifest and not a character more."""

from __future__ import annotations

from difflib import ndiff

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.edit import EditError, with_state
from reconciler.desired.yamltext import parse_documents

HEAD = "apiVersion: daq/v1\nkind: Collector\nmetadata: {name: a}   # the one\n"


def edited(text: str, state: str = "stopped", name: str = "a") -> str:
    edit = with_state(text.encode(), name, state)  # type: ignore[arg-type]
    assert edit is not None
    return edit.data.decode()


@pytest.mark.parametrize(
    ("spec", "after"),
    [
        (
            "spec:\n  type: exec  # x\n  command: [a]\n",
            "spec:\n  type: exec  # x\n  state: stopped\n  command: [a]\n",
        ),
        ("spec:\n  state: running # y\n  type: exec\n", "spec:\n  state: stopped # y\n  type: exec\n"),
        ('spec:\n  state:   "running"\n', 'spec:\n  state:   "stopped"\n'),
        ("spec: {type: exec, command: [a]}\n", "spec: {state: stopped, type: exec, command: [a]}\n"),
        ("spec: { 'state': 'running' , type: exec}\n", "spec: { 'state': 'stopped' , type: exec}\n"),
        (
            "spec:\n    command: [a]\n    type: exec",
            "spec:\n    command: [a]\n    type: exec\n    state: stopped",
        ),
        ("spec:\r\n  type: exec\r\n", "spec:\r\n  type: exec\r\n  state: stopped\r\n"),
    ],
)
def test_the_state_stands_where_a_person_would_write_it(spec: str, after: str) -> None:
    assert edited(HEAD + spec) == HEAD + after


def test_a_byte_order_mark_and_other_documents_stay() -> None:
    other = "---\nmetadata: {name: b}\nspec:\n  type: exec\n  state: running\n"
    text = "\ufeff" + HEAD + "spec:\n  type: exec\n" + other
    assert edited(text, name="b") == text.replace("state: running", "state: stopped")


def test_what_is_so_already_is_not_written() -> None:
    assert with_state((HEAD + "spec: {type: exec}\n").encode(), "a", "running") is None
    assert with_state((HEAD + "spec: {type: exec, state: stopped}\n").encode(), "a", "stopped") is None


@pytest.mark.parametrize(
    "spec",
    [
        "x: &s running\nspec:\n  type: exec\n  state: *s\n",
        "spec:\n  type:\n    exec\n  command: [a]\n",
        "x: &m {type: exec}\nspec: *m\n",
    ],
)
def test_what_an_edit_would_change_elsewhere_is_left_to_a_person(spec: str) -> None:
    with pytest.raises(EditError, match="by hand"):
        with_state((HEAD + spec).encode(), "a", "stopped")


comments = st.sampled_from(["", " # 停机", "   #x"])
breaks = st.sampled_from(["\n", "\r\n"])
extras = st.lists(
    st.sampled_from(
        ["interval: 1s", "env: {A: 'running'}", "command: ['state: running']", "# state: running", ""]
    ),
    max_size=4,
    unique=True,
)


@given(
    extras, st.sampled_from([None, "running", "'running'", '"running"']), comments, breaks, st.integers(1, 6)
)
def test_only_one_line_differs(
    extra: list[str], state: str | None, comment: str, newline: str, indent: int
) -> None:
    lines = [f"type: exec{comment}", *extra, *([f"state: {state}{comment}"] if state else [])]
    text = newline.join(
        [*HEAD.splitlines(), "spec:", *(" " * indent + line if line else "" for line in lines), ""]
    )
    after = edited(text)
    changed = [line for line in ndiff(text.splitlines(True), after.splitlines(True)) if line[0] in "+-"]
    assert [line[0] for line in changed] == (["-", "+"] if state else ["+"])
    before = parse_documents(text.encode())[0].value
    before["spec"]["state"] = "stopped"
    assert parse_documents(after.encode())[0].value == before
