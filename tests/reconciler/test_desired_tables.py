"""Point tables: encodings of spreadsheets, exact places, and nothing outside the manifests' directory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.desired.document import parse_file
from reconciler.desired.pointtable import TableError, parse_table
from reconciler.desired.tree import DirectoryTree

TABLE = "name,address,type,scale,title\ntemp,40001.10,int16,0.1,温度\n"
TAG = {"name": "temp", "address": "40001.10", "type": "int16", "scale": 0.1, "title": "温度"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_in_the_encodings_spreadsheets_write(encoding: str, end: str) -> None:
    assert [r.tag for r in parse_table(TABLE.replace("\n", end).encode(encoding), "p.csv")] == [TAG]


def test_empty_cells_and_lines_are_left_out_and_texts_stay_texts() -> None:
    rows = parse_table(b"name,address,count,unit\na,1,,%\n\n,,,\n7,2,3,\n", "p.csv")
    assert [r.tag for r in rows] == [
        {"name": "a", "address": "1", "unit": "%"},
        {"name": "7", "address": "2", "count": 3},
    ]


def test_a_cell_may_hold_bits_and_names() -> None:
    rows = parse_table(b'name,bits,names\na,"{0: hot, 15: open}","[x, ""y""]"\n', "p.csv")
    assert rows[0].tag == {"name": "a", "bits": {"0": "hot", "15": "open"}, "names": ["x", "y"]}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "the table is empty"),
        ("name,address,name\n", 1, 14, "twice"),
        ("name,,x\n", 1, 6, "no name"),
        ("name,x\na,1,2\n", 2, 5, "more cells"),
        ('name,x\na,"1\n', 2, 3, "close its quotes"),
        ("name,scale\na,.inf\n", 2, 3, "no finite number"),
    ],
)
def test_what_is_wrong_in_a_table_has_its_place(text: str, line: int, column: int, message: str) -> None:
    with pytest.raises(TableError, match=message) as caught:
        parse_table(text.encode(), "p.csv")
    assert (caught.value.line, caught.value.column) == (line, column)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_table_or_a_table_error(data: bytes) -> None:
    try:
        rows = parse_table(data, "p.csv")
    except TableError as error:
        assert error.line >= 1
        assert error.column >= 1
    else:
        assert all(row.tag for row in rows)


@pytest.mark.parametrize("written", ["../p.csv", "/etc/passwd", "link.csv", "x/../../p.csv"])
def test_a_table_outside_the_manifests_is_refused_also_through_a_symlink(
    tmp_path: Path, written: str
) -> None:
    root = tmp_path / "desired"
    root.mkdir()
    (tmp_path / "p.csv").write_text(TABLE)
    (root / "link.csv").symlink_to(tmp_path / "p.csv")
    text = f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: a}}
spec: {{type: modbus, devices: [{{host: h}}], tagsFrom: [{written}]}}
"""
    (candidate,) = parse_file(DirectoryTree(root), "a.yaml", text.encode()).candidates
    assert candidate.manifest is None
    assert "it lies outside desired/" in candidate.errors[0].message
