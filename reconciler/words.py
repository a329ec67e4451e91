"""Reasons in words, English and Chinese: in short, what each means, and what to do.

The table is ``reasons.json``, shared with the live page. A key that ends in ``*`` stands for a family, such as the
status codes of OPC UA. JSON, files and the endpoint stay English.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

Language = Literal["en", "zh"]


class Words(NamedTuple):
    """A reason for people; ``means`` and ``todo`` are sentences, empty where there is nothing to say."""

    short: str
    means: str
    todo: str


def explain(reason: str, language: Language = "en") -> Words:
    """The words of a CamelCase reason; one that the table does not hold stands for itself."""
    table = _table()
    family = (key for key in table if key.endswith("*") and reason.startswith(key[:-1]))
    entry = table.get(reason) or table.get(next(family, ""))
    return Words(*entry[language]) if entry else Words(reason, "", "")


def language_of(locale: str) -> Language:
    """The language of a locale as LANG holds it: ``zh_CN.UTF-8`` is Chinese, all else English."""
    return "zh" if locale.lower().startswith("zh") else "en"


@cache
def _table() -> Mapping[str, Mapping[Language, list[str]]]:
    table: Mapping[str, Mapping[Language, list[str]]] = json.loads(
        (files("reconciler") / "reasons.json").read_text("utf-8")
    )
    return table
