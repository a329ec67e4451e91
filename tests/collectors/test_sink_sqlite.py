from __future__ import annotations

import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from collectors.contract import SpecFile, StateDir
from collectors.sinks import Sink, SinkError, open_sink
from collectors.sinks.sqlite import COUNT
from tests.collectors.sending import samples
from tests.programs import program

NOW = time.time_ns()


def local(state: StateDir, **retention: str) -> Sink:
    return open_sink(SpecFile("Sink", "local", "1-a", {"type": "sqlite", "retention": retention}), state)


def write(sink: Sink, *lines: str) -> None:
    sink.write("\n".join(lines).encode())


def test_a_row_per_field_with_its_type(state: StateDir) -> None:
    sink = local(state)
    write(sink, f'm,collector=c,device=d,hall=A\\ 1 b=true,f=2.0,i=-3i,s="x,y \\"z\\"" {NOW}')
    sink.close()
    rest = (NOW, "m", "c", "d", '{"hall":"A 1"}')
    assert samples(state.database, "*, typeof(value)") == [
        (*rest, "b", 1, "good", "integer"),
        (*rest, "f", 2.0, "good", "real"),
        (*rest, "i", -3, "good", "integer"),
        (*rest, "s", 'x,y "z"', "good", "text"),
    ]


def test_a_change_of_quality_is_a_row_without_value(state: StateDir) -> None:
    sink = local(state)
    write(sink, f'daq_quality,collector=c,device=d,tag=t quality="bad",reason="Timeout" {NOW}')
    sink.close()
    assert samples(state.database) == [
        (NOW, "daq_quality", "c", "d", '{"reason":"Timeout"}', "t", None, "bad")
    ]


def test_a_replayed_line_overwrites_itself(state: StateDir) -> None:
    sink = local(state)
    for _ in range(2):
        write(sink, f"m,collector=c,device=d a=1 {NOW}", f"m,collector=c,device=e a=1 {NOW}")
    sink.close()
    assert len(samples(state.database)) == 2


def test_one_unreadable_line_refuses_the_body_and_stores_none_of_it(state: StateDir) -> None:
    sink = local(state)
    with pytest.raises(SinkError, match="cannot read as line protocol: 'nonsense'") as refused:
        write(sink, f"m a=1 {NOW}", "nonsense")
    sink.close()
    assert refused.value.answer == "malformed"
    assert samples(state.database) == []


def test_samples_beyond_the_age_go(state: StateDir) -> None:
    sink = local(state, maxAge="1h")
    write(sink, *(f"m,collector=c old={n} {NOW - 7200 * 10**9 + n}" for n in range(100)))
    for n in range(100):
        write(sink, f"m,collector=c new={n} {NOW + n}")
    sink.close()
    assert {tag for (tag,) in samples(state.database, "DISTINCT tag")} == {"new"}


def test_the_oldest_samples_go_beyond_the_size(state: StateDir) -> None:
    sink = local(state, maxBytes="1MiB")
    for first in range(0, 40_000, 1000):
        write(sink, *(f"m,collector=c,device=d a={n}i {NOW + n}" for n in range(first, first + 1000)))
    kept = [value for (value,) in samples(state.database, "value")]
    sink.close()
    assert kept == list(range(kept[0], 40_000))
    assert 5000 < len(kept) < 20_000
    assert state.database.stat().st_size < 1_500_000


def test_the_sqlite3_program_reads_it_while_it_is_written(state: StateDir) -> None:
    """Again and again: each look sees whole batches, and neither waits for the other."""
    shell = program("sqlite3")
    sink = local(state)
    write(sink, f"m,collector=c,device=d a=0 {NOW}")
    over = threading.Event()
    looks: list[int] = []

    def read() -> None:
        last = False
        while not last:
            last = over.is_set() and len(looks) >= 5
            said = subprocess.run(
                [shell, state.database, "SELECT count(*) FROM samples"],
                capture_output=True,
                text=True,
                check=True,
            )
            looks.append(int(said.stdout))

    with ThreadPoolExecutor(1) as reader:
        reading = reader.submit(read)
        batches = 0
        while len(looks) < 10:
            first = 1 + 100 * batches
            write(sink, *(f"m,collector=c,device=d a={n} {NOW + n}" for n in range(first, first + 100)))
            batches += 1
        over.set()
        reading.result(20)
    sink.close()
    assert looks == sorted(looks)
    assert all(look % 100 == 1 for look in looks)
    assert looks[-1] == 1 + 100 * batches


def test_this_tag_this_span_is_read_through_the_index(state: StateDir) -> None:
    sink = local(state)
    write(sink, f"m,collector=c,device=d a=1 {NOW}")
    question = "EXPLAIN QUERY PLAN SELECT * FROM samples WHERE tag = 'a' AND ts_ns BETWEEN 1 AND 2"
    db = sqlite3.connect(state.database)
    plan = str(db.execute(question).fetchall())
    db.close()
    sink.close()
    assert "USING INDEX samples_by_tag (tag=? AND ts_ns>? AND ts_ns<?)" in plan


def test_what_it_holds_of_a_collector_is_counted_off_the_index(state: StateDir) -> None:
    sink = local(state)
    write(sink, f'daq_quality,collector=c,device=d,tag=a quality="bad",reason="X" {NOW}')
    for collector in ("c", "other"):
        write(sink, *(f"m,collector={collector},device=d a={n},b={n} {NOW + n}" for n in range(10)))
    assert sink.count("c", NOW, NOW + 10) == 22
    assert sink.count("c", NOW + 1, NOW + 5) == 8
    assert sink.count("nobody", NOW, NOW + 10) == 0
    assert time.time_ns() - sink.kept_since() == pytest.approx(30 * 86400e9, abs=60e9)
    db = sqlite3.connect(state.database)
    plan = str(db.execute(f"EXPLAIN QUERY PLAN {COUNT}", (1, 2, "c")).fetchall())
    db.close()
    sink.close()
    assert "COVERING INDEX samples_by_tag (tag=? AND ts_ns>? AND ts_ns<?)" in plan
    assert "SCAN samples" not in plan


def test_a_database_at_its_largest_keeps_from_its_oldest_row_on(state: StateDir) -> None:
    sink = local(state, maxBytes="512KiB")
    for first in range(0, 20_000, 500):
        write(sink, *(f"m,collector=c,device=d a={n}i {NOW + n}" for n in range(first, first + 500)))
    oldest = samples(state.database, "ts_ns")[0][0]
    assert oldest > NOW
    assert sink.kept_since() == oldest
    sink.close()


def test_a_database_that_cannot_be_written_is_tried_again(state: StateDir) -> None:
    state.database.mkdir(parents=True)
    sink = local(state)
    with pytest.raises(SinkError, match=r"cannot write data\.db") as refused:
        write(sink, f"m a=1 {NOW}")
    assert refused.value.answer == "retry"
