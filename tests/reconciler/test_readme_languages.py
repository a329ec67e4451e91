"""README in English and in Chinese say the same: sections, commands, files, links, tables and every figure."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
ENGLISH, CHINESE = ((TOP / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md"))
OWN_PICTURES = {"docs/page-chinese.png": "docs/page.png"}


def sections(text: str) -> list[str]:
    """What stands below each heading, and before the first one."""
    return re.split(r"^#+ .*$", _without_blocks(text), flags=re.MULTILINE)


def headings(text: str) -> list[str]:
    return re.findall(r"^(#+) ", _without_blocks(text), flags=re.MULTILINE)


def blocks(text: str) -> list[str]:
    """Commands, files and output, without what is said about them."""
    found = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r" +# .*", "", block) for block in found]


def codes(text: str) -> list[list[str]]:
    """Commands, paths and words of the machine, by section."""
    found = [re.findall(r"`([^`]+)`", re.sub(r"\s+", " ", section)) for section in sections(text)]
    spoken = re.compile(r"[^ -~…]|file:line")
    return [sorted({code for code in each if not spoken.search(code)}) for each in found]


def figures(text: str) -> list[list[str]]:
    """All numbers of a section, and of each row of its tables."""
    numbers = [
        sorted(re.findall(r"\d[\d,.]*\d|\d", part))
        for section in sections(text)
        for part in (*re.findall(r"^\|.*", section, re.MULTILINE), section)
    ]
    return [[number.replace(",", "") for number in each] for each in numbers]


def tables(text: str) -> list[list[int]]:
    """Columns of each row of each section."""
    rows = [re.findall(r"^\|.*", section, re.MULTILINE) for section in sections(text)]
    return [[len(re.split(r"(?<!\\)\|", row)) for row in each] for each in rows]


def points(text: str) -> list[int]:
    """Points of the lists of each section."""
    return [len(re.findall(r"^- ", section, re.MULTILINE)) for section in sections(text)]


def links(text: str) -> list[set[str]]:
    """What each section leads to, in whatever language it is written."""
    found = [re.findall(r"\]\(([^)]+)\)", section) for section in sections(text)]
    return [
        {OWN_PICTURES.get(target, target.replace(".zh-CN", "")) for target in section} for section in found
    ]


def _without_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("part", [headings, blocks, codes, figures, tables, points, links])
def test_both_say_the_same(part: Callable[[str], list[object]]) -> None:
    assert part(ENGLISH)
    assert part(CHINESE) == part(ENGLISH)


def test_the_chinese_one_is_chinese() -> None:
    untold = [s for s in sections(CHINESE)[1:] if len(re.findall(r"[一-鿿]", s)) < 20]
    assert untold == []
