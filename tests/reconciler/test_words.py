"""Every reason that the code can give has words in both languages, and no word stands for nothing."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import collectors
import reconciler
from reconciler.words import Language, explain, language_of

ROOMS = [Path(str(room.__file__)).parent for room in (reconciler, collectors)]
TABLE: dict[str, dict[Language, list[str]]] = json.loads((ROOMS[0] / "reasons.json").read_text("utf-8"))
REASON = re.compile(r"[A-Z][a-z]+(?:[A-Z][a-z]*)*[a-z]")
NO_REASONS = {
    "Collector", "Sink",                       # kinds
    "True", "False", "Null", "None",           # YAML, statuses, security policies
    "SecurityPolicy", "SignAndEncrypt", "MaxMonitoredItemsPerCall", "MaxNodesPerBrowse", "MaxNodesPerRead",
    "MaxNodesPerTranslateBrowsePathsToNodeIds",
}  # fmt: skip
"""CamelCase texts in the code that are none. A new one fails the first test until it stands here or in the table."""


def texts_in_code() -> Iterator[tuple[str, str]]:
    """Every CamelCase text, and its file; what only answers or prints gives no reasons."""
    for room in ROOMS:
        for file in sorted(room.rglob("*.py")):
            if {"simulate", "cli", "doctor", "fleet", "render", "server", "web"} & set(
                file.relative_to(room).parts
            ):
                continue
            tree = ast.parse(file.read_text("utf-8"))
            exported = {
                id(text)
                for node in tree.body
                if isinstance(node, ast.Assign) and any(ast.unparse(t) == "__all__" for t in node.targets)
                for text in ast.walk(node)
            }
            for node in ast.walk(tree):
                text = node.value if isinstance(node, ast.Constant) and id(node) not in exported else None
                if isinstance(text, str) and REASON.fullmatch(text) and text not in NO_REASONS:
                    yield text, f"{room.name}/{file.relative_to(room)}"


IN_CODE = dict(texts_in_code())


def test_every_reason_in_the_code_has_words() -> None:
    assert {r: f for r, f in IN_CODE.items() if explain(r).short == r} == {}
    assert len(IN_CODE) > 100


def test_every_word_is_of_a_reason_in_the_code() -> None:
    families = {key[:-1] for key in TABLE if key.endswith("*")} - {"Uncertain", "Status0x"}
    alone = {key for key in TABLE if not key.endswith("*")}
    assert alone - IN_CODE.keys() == set()
    assert {f for f in families if not any(r.startswith(f) for r in IN_CODE)} == set()


@pytest.mark.parametrize("reason", TABLE)
def test_both_languages_say_the_same_things(reason: str) -> None:
    english, chinese = (TABLE[reason][language] for language in ("en", "zh"))
    assert len(english) == len(chinese) == 3
    assert [bool(text) for text in english] == [bool(text) for text in chinese]
    assert english[0], "a reason has a short form"
    assert english[1], "a reason has a meaning"
    assert all(re.search("[\u4e00-\u9fff]", text) for text in chinese if text)
    assert all(text.endswith(".") for text in english[1:] if text)
    assert all(text.endswith("。") for text in chinese[1:] if text)
    assert len(english[0]) <= 32, "short words fit a table's column"


def test_a_family_speaks_for_its_members() -> None:
    assert explain("BadSensorFailure", "zh").short == "服务器标记为坏值"
    assert explain("BadNodeIdUnknown").short == "node unknown"
    assert explain("EndCode4031").short == "PLC end code"


def test_a_reason_without_words_stands_for_itself() -> None:
    assert explain("SomethingElse", "zh") == ("SomethingElse", "", "")


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh_CN.UTF-8", "zh"), ("zh", "zh"), ("en_US.UTF-8", "en"), ("C", "en"), ("", "en")],
)
def test_the_language_is_that_of_the_locale(locale: str, language: Language) -> None:
    assert language_of(locale) == language
