"""A diff says what a pass does: text for people, JSON for tools, an exit code for scripts, and no secret."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.changes import changes, live_file
from reconciler.desired.sentences import schema
from reconciler.diff import as_json, as_text, exit_code
from reconciler.digest import DURATIONS, SIZES
from reconciler.model import Action, Change, Kind, ManifestError, Plan, Refusal, Step
from tests.reconciler.given import applied, desired, instance, manifest

PRESS = manifest("press", interval="1s")
ONE = instance(PRESS)
SECRET = "geheim"


def step(name: str, verdict: str, action: Action = Action.NONE, **more: Any) -> Step:
    return Step(name, "Collector", action, verdict, "Reason", "because", **more)


@pytest.mark.parametrize(
    ("verdict", "action", "expected"),
    [
        ("keep", Action.NONE, 0),
        ("stopped", Action.NONE, 0),
        ("hold", Action.NONE, 0),
        ("paused", Action.NONE, 0),
        ("draining", Action.NONE, 0),
        ("wait", Action.NONE, 1),
        ("blocked", Action.NONE, 1),
        ("start", Action.START, 1),
        ("restart", Action.STOP, 1),
        ("stop", Action.STOP, 1),
        ("kill", Action.KILL, 1),
        ("update", Action.UPDATE, 1),
    ],
)
def test_the_exit_code_says_whether_passes_will_act_by_themselves(
    verdict: str, action: Action, expected: int
) -> None:
    whole = Plan((step("a", "keep"), step("b", verdict, action)))
    assert exit_code(whole) == expected
    assert exit_code(whole, ["b"]) == expected
    assert exit_code(whole, ["a"]) == 0


def test_text_is_aligned_with_changes_below_and_counts_at_the_end() -> None:
    found = (
        Change("spec.interval", "1s", "2s", "restart"),
        Change("spec.sinks", None, ["plant"], "live"),
    )
    whole = Plan(
        (step("a", "keep"), step("long-name", "restart", Action.STOP, changes=found), step("x", "hold"))
    )
    assert as_text(whole, desired()) == (
        "restart  long-name  Reason  because\n"
        '    restart  spec.interval: "1s" -> "2s"\n'
        '    live     spec.sinks: (none) -> ["plant"]\n'
        "hold     x          Reason  because\n"
        "1 restart, 1 hold, 1 unchanged\n"
        f"plan {whole.id}\n"
    )


def test_nothing_to_do_is_one_line() -> None:
    assert as_text(Plan((step("a", "keep"), step("b", "stopped"))), desired()) == (
        "nothing to do: 2 unchanged\n"
    )


def test_a_refusal_and_unread_manifests_stand_in_the_text() -> None:
    whole = Plan((step("a", "blocked"),), Refusal("NothingWanted", "too much", ("a", "b")))
    text = as_text(whole, desired(unread="no such directory"))
    assert "refused: too much: a, b\nno such directory\n" in text


def test_only_the_names_asked_for_are_shown() -> None:
    whole = Plan((step("a", "hold"), step("b", "hold")))
    assert [s["name"] for s in as_json(whole, desired(), ["b"])["steps"]] == ["b"]
    assert as_text(whole, desired(), ["b"]).splitlines()[0].split()[:2] == ["hold", "b"]


def test_json_holds_every_step_with_its_processes_and_errors() -> None:
    error = ManifestError("press.yaml", 3, 7, "spec", "wrong")
    kept = step("press", "keep", manifest=PRESS, instances=(ONE,))
    found = json.loads(json.dumps(as_json(Plan((kept,)), desired(PRESS, errors=(error,)))))
    assert found["errors"] == [
        {"path": "press.yaml", "line": 3, "column": 7, "where": "spec", "message": "wrong"}
    ]
    (only,) = found["steps"]
    assert (only["name"], only["action"], only["digest"], only["pids"]) == (
        "press",
        "none",
        PRESS.digest,
        [1001],
    )


def test_the_name_of_a_plan_changes_with_what_it_does_and_with_nothing_else() -> None:
    start = step("a", "start", Action.START, manifest=PRESS)
    first = Plan((start, step("b", "keep")))
    assert Plan((replace(start, message="other words"),)).id == first.id
    assert Plan((replace(start, manifest=manifest("press", interval="2s")),)).id != first.id


# --- live or restart, as the schema says ------------------------------------------------------------------


def _marked() -> Iterator[tuple[str, tuple[str, ...], str]]:
    """Protocol, place in a spec and mark, of every property of a spec, a device and a tag."""
    definitions = schema("collector")["$defs"]
    for protocol in ("modbus", "opcua", "melsec", "exec"):
        places = {"": f"{protocol}Spec"}
        if protocol != "exec":
            places |= {
                "deviceDefaults": f"{protocol}Defaults",
                "devices": f"{protocol}Device",
                "tags": f"{protocol}Tag",
            }
        health = "execHealth" if protocol == "exec" else "health"
        places |= {"restart": "restart", "stop": "stop", "resources": "resources", "health": health}
        if protocol != "exec":
            places["buffer"] = "buffer"
        for place, part in places.items():
            for key, value in definitions[part]["properties"].items():
                if key not in ("type", "state", "name"):
                    yield protocol, (place, key), value["x-daq-change"]


def _value(key: str, number: int) -> Any:
    """A value for a key of a spec, of a shape that can be compared, different for each number."""
    if key in DURATIONS or key in SIZES:
        return f"{number}s" if key in DURATIONS else f"{number}KiB"
    if key in ("devices", "tags"):
        return [{"name": "n", "x": number}]
    if key == "restart":
        return {"policy": f"{number}"}
    return [f"{number}"] if key == "sinks" else f"{number}"


def _spec(place: str, key: str, number: int) -> dict[str, Any]:
    value = _value(key, number)
    if not place:
        return {key: value}
    inner = {"name": "n", key: value}
    return {place: [inner] if place in ("devices", "tags") else inner}


@pytest.mark.parametrize(("protocol", "place", "mark"), list(_marked()), ids=str)
def test_a_change_is_live_or_a_restart_as_the_schema_marks_it(
    protocol: str, place: tuple[str, str], mark: str
) -> None:
    before = desired(manifest("press", type=protocol, **_spec(*place, 1)))
    after = manifest("press", type=protocol, **_spec(*place, 2))
    old = before.manifests["press"]
    found = changes(applied(old, before), after, live_file(desired(after), after))
    assert [c.effect for c in found] == [mark]
    assert (old.digest != after.digest) == (mark == "restart")
    assert place[1] in found[0].field


# --- secrets ----------------------------------------------------------------------------------------------

secrets = st.integers(1, 999).map(lambda n: f"{SECRET}{n}")
hiding = st.sampled_from(("password", "token", "privateKey"))
keys = st.sampled_from(("interval", "user", "security", "host", "x"))


def _specs(kind: Kind) -> st.SearchStrategy[dict[str, Any]]:
    """Specs with secrets wherever the schemas have room for one, and `env` of a Collector, at any depth."""
    secret = st.dictionaries(hiding, secrets | st.fixed_dictionaries({"file": secrets}), max_size=2)
    texts = st.dictionaries(keys, st.sampled_from(("1s", "2s")), max_size=2)
    inner = st.builds(lambda a, b: {**a, **b}, secret, texts)
    device = st.builds(lambda user, rest: {"name": "d", "user": user, **rest}, inner, texts)
    env = st.dictionaries(st.sampled_from(("A", "B")), secrets | st.fixed_dictionaries({"env": secrets}))
    whole = {"user": inner, "devices": st.lists(device, max_size=1), "deviceDefaults": inner}
    if kind == "Collector":
        whole["env"] = env
    return st.fixed_dictionaries({}, optional=whole).flatmap(
        lambda spec: secret.map(lambda top: {**spec, **top})
    )


@given(st.data(), st.sampled_from(("Collector", "Sink")))
def test_secrets_and_env_are_never_shown(data: st.DataObject, kind: Kind) -> None:
    old, new = (manifest("press", kind, **data.draw(_specs(kind))) for _ in range(2))
    before, after = desired(old), desired(new)
    found = changes(applied(old, before), new, live_file(after, new))
    whole = Plan((step("press", "restart", Action.STOP, changes=found, manifest=new),))
    assert SECRET not in as_text(whole, after) + json.dumps(as_json(whole, after))
    assert bool(found) == (old.digest != new.digest)
