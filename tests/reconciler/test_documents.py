"""The documents for people on call name every reason, and say what the table says."""

from __future__ import annotations

from collections import Counter

import pytest

from reconciler.words import Language, explain
from tests.documents import FILES, GOOD_NEWS, GROUPS, REASONS, TITLES, when_red

PROBLEMS = [reason for reasons in GROUPS.values() for reason in reasons.split()]


def test_every_reason_is_a_problem_of_one_group_or_good_news() -> None:
    placed = Counter([*PROBLEMS, *GOOD_NEWS.split()])
    assert placed == Counter(list(REASONS))


def test_whatever_has_something_to_do_is_a_problem() -> None:
    assert [reason for reason in GOOD_NEWS.split() if explain(reason).todo] == []


@pytest.mark.parametrize("language", FILES)
def test_the_document_is_fresh_and_names_each_reason_once(language: Language) -> None:
    text = FILES[language].read_text("utf-8")
    assert text == when_red(language), "run `make docs`"
    assert [reason for reason in PROBLEMS if text.count(f"**`{reason}`**") != 1] == []
    assert TITLES[language].keys() == GROUPS.keys()
