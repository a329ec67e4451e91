from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.shares import shares, wanted
from tests.reconciler.given import desired, manifest

MIB = 1 << 20
WANTS = st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 10_000), max_size=12)


@given(WANTS, st.integers(-10, 50_000))
def test_nobody_gets_more_than_he_wants_nor_all_more_than_there_is(wants: dict[str, int], total: int) -> None:
    found = shares(wants, total)
    assert found.keys() == wants.keys()
    assert all(0 <= found[name] <= wants[name] for name in wants)
    assert sum(found.values()) <= max(0, total)


@given(WANTS, st.integers(0, 50_000))
def test_nothing_is_left_while_somebody_wants_more(wants: dict[str, int], total: int) -> None:
    found = shares(wants, total)
    short = [name for name in wants if found[name] < wants[name]]
    if short:
        assert sum(found.values()) == total
        most = max(found.values())
        assert all(found[name] >= most - 1 for name in short)


@given(WANTS, st.integers(0, 50_000), st.text(min_size=1, max_size=3), st.integers(0, 10_000))
def test_one_more_never_gives_another_more(wants: dict[str, int], total: int, name: str, want: int) -> None:
    before = shares({n: w for n, w in wants.items() if n != name}, total)
    after = shares({**wants, name: want}, total)
    assert all(after[n] <= before[n] + 1 for n in before)


def test_who_has_an_outbox_and_is_to_run_takes_part() -> None:
    plant = desired(
        manifest("usual"),
        manifest("small", buffer={"maxBytes": "1MiB"}),
        manifest("stopped", state="stopped"),
        manifest("program", type="exec"),
        manifest("sink", kind="Sink", type="sqlite"),
    )
    assert wanted(plant) == {"usual": 256 * MIB, "small": MIB}
