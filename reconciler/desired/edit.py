"""``spec.state`` of one manifest changed in the text of its file; every other character stays as it is."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from reconciler.desired.yamltext import Place, YamlError, parse_documents

State = Literal["running", "stopped"]

_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
"""What libyaml takes for the end of a line."""
_VALUE = re.compile(r"([\"']?)(running|stopped)\1")


class EditError(ValueError):
    """A text that cannot be changed without a person; the message says what to write, and `line` where."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line, self.message = line, message


@dataclass(frozen=True, slots=True)
class Edit:
    """A file's new bytes, and its changed line (from 1) before and after; `before` is empty where one was added."""

    data: bytes
    line: int
    before: str
    after: str


def with_state(data: bytes, name: str, state: State) -> Edit | None:
    """The file that gives the collector `name` that state; None where it has it. Raises YamlError or EditError."""
    documents = parse_documents(data)
    at = next(i for i, d in enumerate(documents) if _names(d.value) == name)
    document = documents[at]
    spec = document.value["spec"]
    if spec.get("state", "running") == state:
        return None
    text = data.decode("utf-8")
    bom = text[: text.startswith("\ufeff")]
    lines = _lines(text[len(bom) :])
    where = document.place.find(("spec",))
    line = _replaced(lines, where, state) if "state" in spec else _added(lines, where, state)
    edited = (bom + "".join(lines)).encode("utf-8")
    wanted = [copy.deepcopy(d.value) for d in documents]
    wanted[at]["spec"]["state"] = state
    if not _says(edited, wanted):  # an anchor that is used elsewhere, say
        raise EditError(line, f"write `state: {state}` below spec by hand; more than that would change")
    old, new = _lines(text[len(bom) :]), _lines(edited.decode("utf-8-sig"))
    before = old[line - 1] if len(old) == len(new) else ""
    return Edit(edited, line, before.strip(), new[line - 1].strip())


def _replaced(lines: list[str], spec: Place, state: State) -> int:
    """Put the value where the old one stands; returns its line."""
    place = spec.find(("state",))
    line, column = lines[place.line - 1], place.column - 1
    found = _VALUE.match(line, column)
    if found is None:
        raise EditError(
            place.line, f"write `state: {state}` by hand; the value is not plainly running or stopped"
        )
    lines[place.line - 1] = line[:column] + found[1] + state + found[1] + line[found.end() :]
    return place.line


def _added(lines: list[str], spec: Place, state: State) -> int:
    """Add the key after `type`, or first in a mapping in braces; returns its line."""
    line = lines[spec.line - 1]
    if line[spec.column - 1] == "{":
        lines[spec.line - 1] = f"{line[: spec.column]}state: {state}, {line[spec.column :].lstrip(' ')}"
        return spec.line
    keys = spec.keys or {}
    key, value = keys["type"], spec.find(("type",))
    if key.line != value.line:
        raise EditError(key.line, f"write `state: {state}` below spec by hand")
    number = value.line
    ending = _BREAK.search(lines[number - 1])
    if ending is None:  # the last line of a file without a final newline
        lines[number - 1] += "\n"
    lines.insert(number, f"{' ' * (key.column - 1)}state: {state}{ending[0] if ending else ''}")
    return number + 1


def _lines(text: str) -> list[str]:
    """Lines as libyaml counts them, with their endings."""
    ends = [0, *(found.end() for found in _BREAK.finditer(text)), len(text)]
    return [text[a:b] for a, b in pairwise(ends) if a < b]


def _says(data: bytes, values: list[Any]) -> bool:
    try:
        return [d.value for d in parse_documents(data)] == values
    except YamlError:
        return False


def _names(value: Any) -> Any:
    metadata = value.get("metadata") if isinstance(value, dict) else None
    return metadata.get("name") if isinstance(metadata, dict) else None
