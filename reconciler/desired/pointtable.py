"""Point tables: tags kept in a spreadsheet, saved as CSV. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.desired.yamltext import TEXTS, Place, YamlError, parse_documents, resolve

_CELL = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^",]*))\s*(?:,|$)')
_PLAIN = TEXTS | {"name", "title", "type", "every", "atLeastEvery"}
"""Columns taken as text; the others as YAML would."""


class TableError(ValueError):
    """A table that cannot be read; line and column count from 1."""

    def __init__(self, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.line, self.column, self.message = line, column, message


@dataclass(frozen=True, slots=True)
class Row:
    """One tag and where its cells stand."""

    tag: Mapping[str, Any]
    place: Place


def parse_table(data: bytes, file: str) -> list[Row]:
    """The tags of a table in UTF-8 (BOM or not) or GBK, its first line naming keys. Raises TableError."""
    rows = [
        (n, list(_cells(line, n))) for n, line in enumerate(_text(data).splitlines(), 1) if line.strip(" ,\t")
    ]
    if not rows:
        raise TableError(
            1, 1, "the table is empty; its first line names the keys of tags, such as name,address,type"
        )
    first, header = rows[0]
    keys: dict[str, Place] = {}
    for name, column in header:
        if not name or name in keys:
            raise TableError(
                first, column, f"the column {name} is there twice" if name else "a column has no name"
            )
        keys[name] = Place(first, column, file=file)
    return [_row(line, cells, keys, file) for line, cells in rows[1:]]


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    try:
        return data.decode("gbk")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise TableError(line, 1, "cannot read this as UTF-8 or GBK; save the table as CSV UTF-8") from None


def _cells(line: str, number: int) -> Iterator[tuple[str, int]]:
    """Each cell and the column of its first character, from 1."""
    at = 0
    while at <= len(line):
        match = _CELL.match(line, at)
        if match is None:
            raise TableError(
                number, at + 1, 'cannot read this cell; close its quotes, and write " inside as ""'
            )
        quoted, bare = match.groups()
        start = match.start(1) - 1 if quoted is not None else match.start(2)
        yield (bare.strip() if quoted is None else quoted.replace('""', '"').strip()), start + 1
        if match.end() == len(line) and not line.endswith(",", 0, match.end()):
            return
        at = match.end()
        if at == len(line):
            yield "", at + 1
            return


def _row(line: int, cells: list[tuple[str, int]], columns: dict[str, Place], file: str) -> Row:
    if len(cells) > len(columns):
        text, column = cells[len(columns)]
        if text or len(cells) > len(columns) + 1:
            raise TableError(
                line, column, f"there are more cells than the {len(columns)} columns of the first line"
            )
    tag: dict[str, Any] = {}
    places: dict[str, Place] = {}
    for key, (text, column) in zip(columns, cells, strict=False):
        if text:
            tag[key] = _value(key, text, line, column)
            places[key] = Place(line, column, file=file)
    return Row(tag, Place(line, 1, places, columns, file))


def _value(key: str, text: str, line: int, column: int) -> Any:
    if key in _PLAIN:
        return text
    try:
        if text[0] in "[{":
            return parse_documents(text.encode())[0].value
        return resolve(text)
    except YamlError as error:
        raise TableError(line, column + error.column - 1, error.message) from None
    except ValueError as error:
        raise TableError(line, column, str(error)) from None
