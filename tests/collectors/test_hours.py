from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.hours import HOUR_NS, by_hour

NOW = 1_793_480_000 * 10**9


@given(
    st.lists(
        st.tuples(
            st.integers(1, 5),
            st.integers(NOW, NOW + 3 * HOUR_NS) | st.integers(0, 2**63 - 1),
            st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\')),
        ),
        min_size=1,
    )
)
def test_every_point_is_counted_in_the_hour_of_its_line(lines: list[tuple[int, int, str]]) -> None:
    made, wanted = [], Counter[int]()
    for fields, at_ns, text in lines:
        names = ",".join(f'f{n}="{text}"' for n in range(fields))
        made.append(f"m,c=x {names} {at_ns}".encode())
        wanted[at_ns // HOUR_NS] += fields
    assert by_hour(b"\n".join(made), wanted.total()) == wanted


@pytest.mark.parametrize("body", [b"nonsense", b"m a=1 -5", b"m a=1", b"", b"m a=123456789 1793480000"])
def test_what_is_no_line_counts_as_what_it_was_acquired_for(body: bytes) -> None:
    assert sum(by_hour(body, 3).values()) == 3
