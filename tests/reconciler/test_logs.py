from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.logs import BLOCK, follow, last_lines
from reconciler.processes import logcap
from reconciler.processes.logcap import cut_head

MIB = 1024 * 1024


@pytest.fixture(params=["collapsed", "copied"])
def log(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    if request.param == "copied":
        monkeypatch.setattr(logcap, "_collapse", lambda fd, length: False)
    return tmp_path / "press.log"


def test_a_large_log_loses_its_head_and_keeps_every_newer_byte(log: Path) -> None:
    data = b"".join(b"line %d\n" % n for n in range(200_000))
    log.write_bytes(data)
    cut = cut_head(log, MIB)
    assert 0 < log.stat().st_size <= MIB
    assert log.read_bytes() == data[cut:]


def test_a_child_that_appends_goes_on_at_the_end(log: Path) -> None:
    log.write_bytes(b"x" * 2 * MIB)
    with log.open("ab", buffering=0) as child:
        cut_head(log, MIB)
        child.write(b"\nafter\n")
    assert log.read_bytes().endswith(b"x\nafter\n")
    assert log.stat().st_size < MIB


def test_a_small_or_missing_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    assert cut_head(path, MIB) == 0
    path.write_bytes(b"x" * MIB)
    assert cut_head(path, MIB) == 0
    assert path.stat().st_size == MIB


@given(
    lines=st.lists(
        st.binary(max_size=9).map(lambda b: b.replace(b"\n", b"").replace(b"\r", b"")), max_size=30
    )
)
def test_the_last_lines_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("logs") / "a.log"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    text, end = last_lines(path, 7)
    assert text == b"".join(line + b"\n" for line in lines[-7:]).decode(errors="replace")
    assert end == path.stat().st_size


def test_lines_are_found_over_blocks(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("begin\n" + "x" * 2 * BLOCK + "\nend\n")
    assert last_lines(path, 2)[0] == "x" * 2 * BLOCK + "\nend\n"


def test_following_prints_whole_lines_and_goes_on_behind_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("old\n" * 100)
    lines = follow(path, path.stat().st_size)
    with path.open("a") as file:
        file.write("one\ntwo\n")
    assert next(lines) == "one\ntwo\n"
    os.truncate(path, 0)
    seen: list[str] = []
    reader = threading.Thread(target=lambda: seen.append(next(lines)))
    reader.start()
    with path.open("a", buffering=1) as file:
        while reader.is_alive():
            file.write("three\n")
            reader.join(0.05)
    assert set(seen[0].split()) == {"three"}
