"""What lies between two sets of manifests."""

from __future__ import annotations

import pytest

from reconciler.compare import compare
from reconciler.diff import exit_code
from reconciler.model import Manifest
from tests.reconciler.given import desired, manifest


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (None, manifest("a"), "start"),
        (manifest("a", state="stopped"), manifest("a"), "start"),
        (manifest("a"), None, "stop"),
        (manifest("a"), manifest("a", state="stopped"), "stop"),
        (manifest("a", interval="1s"), manifest("a", interval="2s"), "restart"),
        (manifest("a"), manifest("a", stop={"grace": "3s"}), "update"),
        (manifest("a"), manifest("a"), "keep"),
        (manifest("a", state="stopped"), None, "stopped"),
    ],
)
def test_every_difference_has_its_verdict_and_exit_code(
    before: Manifest | None, after: Manifest | None, verdict: str
) -> None:
    found = compare(desired(*filter(None, [before])), desired(*filter(None, [after])))
    assert [s.verdict for s in found.steps] == [verdict]
    assert exit_code(found) == (verdict not in ("keep", "stopped"))


def test_the_fields_that_differ_are_named_with_their_effect() -> None:
    before, after = manifest("a", interval="1s"), manifest("a", interval="2s", stop={"grace": "3s"})
    (step,) = compare(desired(before), desired(after)).steps
    assert {(c.field, c.effect) for c in step.changes} == {
        ("spec.interval", "restart"),
        ("spec.stop", "live"),
    }
