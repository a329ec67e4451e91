from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from collectors.contract import EXIT_CONFIG, EXIT_STOPPED, Points, StateDir
from collectors.outbox import Outbox
from tests.collectors.sending import held, points, report, samples, send_until, settled, sink, start_sender
from tests.waiting import wait_until

FOREVER = {"maxAge": "36500d"}
"""Test lines are dated 1970."""
LOCAL = sink("local", type="sqlite", retention=FOREVER)


def lines(first: int, count: int) -> bytes:
    return b"\n".join(
        b"m,collector=c,device=d a=%di,b=%d.5 %d" % (n, n, n) for n in range(first, first + count)
    )


def test_every_acquired_point_is_stored_once_and_leaves_the_outbox(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        for n in range(12):
            outbox.append(lines(n * 100, 100), 200, ("local",))
        code = send_until(LOCAL, state, lambda: settled(state, "c", "local"), "delivery")
        assert code == EXIT_STOPPED
        stored = samples(state.database, "ts_ns, tag, value")
        assert stored == [(n, tag, n if tag == "a" else n + 0.5) for n in range(1200) for tag in "ab"]
        assert outbox.counts() == {"local": Points(2400, delivered=2400)}
        outbox.prune()
        assert outbox.counts() == {"local": Points(2400, delivered=2400)}


def test_each_sink_gets_the_points_acquired_for_it_and_no_others(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(lines(0, 10), 20, ("local",))
        outbox.append(lines(10, 10), 20, ("other",))
        outbox.append(lines(20, 10), 20, ("local", "other"))
        send_until(LOCAL, state, lambda: settled(state, "c", "local"), "delivery")
        assert [t for (t,) in samples(state.database, "DISTINCT ts_ns")] == [*range(10), *range(20, 30)]
        assert outbox.counts() == {"local": Points(40, delivered=40), "other": Points(40, queued=40)}
        outbox.prune()
        other = sink("other", type="sqlite", path="other.db", retention=FOREVER)
        send_until(other, state, lambda: settled(state, "c", "other"), "delivery")
        assert [t for (t,) in samples(state.root / "other.db", "DISTINCT ts_ns")] == [*range(10, 30)]


def test_the_report_has_the_points_of_every_collector(state: StateDir) -> None:
    with Outbox(state, "c1") as one, Outbox(state, "c2") as two:
        one.append(lines(0, 10), 20, ("local",))
        two.append(lines(10, 5), 10, ("local",))
        wanted = {"c1": Points(20, delivered=20), "c2": Points(10, delivered=10)}

        def told() -> bool:
            made = report(state, "local")
            return made is not None and made.cycled and made.held is None and made.points == wanted

        send_until(LOCAL, state, told, "the report")


def test_a_recreated_outbox_is_sent_from_its_start(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(lines(0, 10), 20, ("local",))
        send_until(LOCAL, state, lambda: settled(state, "c", "local"), "delivery")
    for path in state.outbox("c").parent.iterdir():
        path.unlink()
    with Outbox(state, "c") as outbox:
        outbox.append(lines(10, 10), 20, ("local",))
        send_until(LOCAL, state, lambda: settled(state, "c", "local"), "delivery")
        assert outbox.counts() == {"local": Points(20, delivered=20)}
    assert len(samples(state.database)) == 40


def test_an_outbox_replaced_under_a_running_sender_is_followed(state: StateDir) -> None:
    outbox = Outbox(state, "c")
    outbox.append(lines(0, 10), 20, ("local",))
    replaced = False

    def done() -> bool:
        nonlocal outbox, replaced
        if not replaced and settled(state, "c", "local"):
            outbox.close()
            for path in state.outbox("c").parent.iterdir():
                path.unlink()
            outbox = Outbox(state, "c")
            outbox.append(lines(10, 10), 20, ("local",))
            replaced = True
        return replaced and len(samples(state.database)) == 40 and settled(state, "c", "local")

    send_until(LOCAL, state, done, "both outboxes")
    outbox.close()


def test_a_wrong_spec_is_a_configuration_error(state: StateDir) -> None:
    for spec in (sink(type="influxdb", url="http://127.0.0.1:1"), sink(type="carrier-pigeon")):
        assert send_until(spec, state, lambda: True, "nothing") == EXIT_CONFIG


def test_a_line_nobody_can_read_becomes_a_dead_letter_and_holds_up_nothing(state: StateDir) -> None:
    with Outbox(state, "c") as outbox:
        outbox.append(lines(0, 50) + b"\nnonsense\n" + lines(50, 50), 201, ("local",))
        send_until(LOCAL, state, lambda: settled(state, "c", "local"), "delivery")
        assert outbox.counts() == {"local": Points(201, delivered=200, rejected=1)}
    assert len(samples(state.database)) == 200
    (letter,) = [json.loads(text) for text in state.dead_letters("local").read_text().splitlines()]
    assert (letter["line"], letter["reason"]) == ("nonsense", "Malformed")
    told = report(state, "local")
    assert told and told.troubles["Healthy"].reason == "DataRejected"
    assert "as this one of nonsense: " in told.troubles["Healthy"].message


def test_killing_the_sender_again_and_again_loses_and_doubles_nothing(
    state: StateDir, tmp_path: Path
) -> None:
    spec = sink("local", type="sqlite", retention=FOREVER, batch={"lines": 100, "maxAge": "1ms"})
    total = 30_000
    with Outbox(state, "c") as outbox:
        for n in range(0, total, 100):
            outbox.append(lines(n, 100), 200, ("local",))
        for _ in range(4):
            before = points(state, "c", "local").delivered
            sender = start_sender(spec, state, tmp_path / "log")
            wait_until(lambda b=before: points(state, "c", "local").delivered > b, "progress")  # type: ignore[misc]
            sender.kill()
            sender.wait()
            now = outbox.counts()["local"]
            assert now.acquired == now.delivered + now.queued == 2 * total
            outbox.maintain(1 << 40, 1e9)
        assert points(state, "c", "local").queued
        sender = start_sender(spec, state, tmp_path / "log")
        wait_until(lambda: settled(state, "c", "local"), "the rest")
        sender.send_signal(signal.SIGTERM)
        assert sender.wait(10) == EXIT_STOPPED
        assert outbox.counts()["local"] == Points(2 * total, delivered=2 * total)
    assert [t for (t,) in samples(state.database, "ts_ns")] == [n for n in range(total) for _ in "ab"]


WRITER = """
import sys
from pathlib import Path
from collectors.contract import StateDir
from collectors.outbox import Outbox
from tests.collectors.test_sender import lines
outbox = Outbox(StateDir(Path(sys.argv[1])), "c")
first = int(sys.argv[2])
while True:
    outbox.append(lines(first, 50), 100, ("local",))
    outbox.maintain(1 << 40, 1e9)
    first += 50
    print(first, flush=True)
"""


def test_killing_the_collector_loses_nothing_it_has_committed(state: StateDir, tmp_path: Path) -> None:
    acquired = 0
    sender = start_sender(LOCAL, state, tmp_path / "log")
    for _ in range(3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(state.root), str(acquired // 2)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        for _ in range(30):
            writer.stdout.readline()
        writer.kill()
        said = writer.stdout.read().split()
        writer.stdout.close()
        writer.wait()
        acquired = points(state, "c", "local").acquired
        assert acquired >= 2 * int(said[-1] if said else 0)
    wait_until(lambda: settled(state, "c", "local"), "delivery")
    sender.send_signal(signal.SIGTERM)
    assert sender.wait(10) == EXIT_STOPPED
    assert points(state, "c", "local") == Points(acquired, delivered=acquired)
    assert [t for (t,) in samples(state.database, "ts_ns")] == [n for n in range(acquired // 2) for _ in "ab"]


def test_a_dead_letter_that_cannot_be_written_is_neither_lost_nor_the_end_of_the_sender(
    state: StateDir, tmp_path: Path
) -> None:
    spec = sink("local", type="sqlite", retention=FOREVER)
    with Outbox(state, "c") as outbox:
        outbox.append(b"no line at all\nm,collector=c a=1i 5", 2, ("local",))
    place = state.dead_letters("local").parent
    place.write_text("in the way")
    sender = start_sender(spec, state, tmp_path / "log")
    wait_until(lambda: held(state, "local") == "CursorsUnwritable", "it to say so")
    assert points(state, "c", "local").rejected == 0
    place.unlink()
    wait_until(lambda: settled(state, "c", "local"), "the letter to be written")
    sender.send_signal(signal.SIGTERM)
    assert sender.wait(10) == EXIT_STOPPED
    assert len(state.dead_letters("local").read_text().splitlines()) == 1
    assert points(state, "c", "local") == Points(2, delivered=1, rejected=1)


def test_a_sender_that_cannot_keep_cursors_waits_in_place_says_so_and_recovers(
    state: StateDir, tmp_path: Path
) -> None:
    place = state.cursors("local").parent
    with Outbox(state, "c") as outbox:
        outbox.append(lines(0, 10), 20, ("local",))
    place.write_text("in the way")
    sender = start_sender(sink("local", type="sqlite", retention=FOREVER), state, tmp_path / "log")
    wait_until(lambda: held(state, "local") == "CursorsUnwritable", "it to say so")
    assert not state.database.exists()
    place.unlink()
    wait_until(lambda: settled(state, "c", "local"), "delivery")
    wait_until(lambda: held(state, "local") is None, "it to take that back")
    sender.send_signal(signal.SIGTERM)
    assert sender.wait(10) == EXIT_STOPPED
    assert points(state, "c", "local") == Points(20, delivered=20)


def test_dropping_while_a_sender_works_and_dies_counts_every_point_exactly_once(
    state: StateDir, tmp_path: Path
) -> None:
    spec = sink("local", type="sqlite", retention=FOREVER, batch={"lines": 100, "maxAge": "1ms"})
    with Outbox(state, "c") as outbox:
        total = 0
        for _ in range(4):
            sender = start_sender(spec, state, tmp_path / "log")
            before = outbox.counts().get("local", Points())
            now = before
            while now.delivered < before.delivered + 3000 or now.dropped < before.dropped + 3000:
                for _ in range(20):
                    outbox.append(lines(total, 50), 100, ("local",))
                    total += 50
                outbox.maintain(100_000, 1e9)
                now = outbox.counts()["local"]
                assert min(now.queued, now.dropped) >= 0
            sender.kill()
            sender.wait()
        outbox.append(lines(total, 50), 100, ("local",))
        total += 50
        sender = start_sender(spec, state, tmp_path / "log")
        wait_until(lambda: settled(state, "c", "local"), "the rest")
        sender.send_signal(signal.SIGTERM)
        assert sender.wait(10) == EXIT_STOPPED
        counts = outbox.counts()["local"]
    stored = samples(state.database, "ts_ns")
    assert counts.acquired == 2 * total
    assert (len(stored), len(stored) // 2) == (counts.delivered, len(set(stored)))
    assert counts.delivered + counts.dropped == counts.acquired
    missing = set(range(total)) - {at for (at,) in stored}
    assert 2 * len(missing) == counts.dropped
