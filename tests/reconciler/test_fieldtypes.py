from __future__ import annotations

from typing import Any

import pytest

from reconciler.fieldtypes import Known, as_applied, lock_types
from reconciler.model import Manifest
from tests.reconciler.given import desired, manifest

INT = {"name": "t", "address": 40001, "type": "int16"}
FLOAT = {"name": "t", "address": 40001, "type": "float32"}
SCALED = {**INT, "scale": 0.1}
BOOL = {"name": "t", "address": "coil:3"}
STRING = {"name": "t", "address": 40001, "type": "string", "length": 4}
BITS = {"name": "w", "address": 40001, "type": "uint16", "bits": {"0": "t"}}
ARRAY = {"name": "a", "address": 40001, "type": "int16", "count": 2, "names": ["t", "u"]}


def press(*tags: dict[str, Any], name: str = "press", **spec: Any) -> Manifest:
    return manifest(name, devices=[{"host": "h"}], tags=list(tags), sinks=["plant"], **spec)


def opcua(**tag: Any) -> Manifest:
    devices = [{"url": "opc.tcp://h:4840"}]
    return manifest(
        "press",
        type="opcua",
        devices=devices,
        tags=[{"name": "t", "node": "ns=2;i=5", **tag}],
        sinks=["plant"],
    )


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (press(INT), press(SCALED), "stored as integer … to float"),
        (press(SCALED), press(INT), "stored as float … to integer"),
        (press(INT), press({**INT, "offset": 1}), "stored as integer … to float"),
        (press(BOOL), press(INT), "stored as boolean … to integer"),
        (press(INT), press(STRING), "stored as integer … to string"),
        (press(BITS), press(INT), "stored as boolean … to integer"),
        (press(ARRAY), press(FLOAT), "stored as integer … to float"),
        (opcua(type="int32"), opcua(type="float64"), "stored as integer … to float"),
        (press(INT), press({**INT, "type": "uint32"}), None),
        (press(FLOAT), press({**FLOAT, "type": "float64", "scale": 2}), None),
        (press(SCALED), press({**SCALED, "scale": 0.2}), None),
        (press(INT), press({**FLOAT, "name": "t2"}), None),
        (press(INT), press(FLOAT, measurement="press_v2"), None),
        (press(INT), press(BOOL, INT | {"name": "u"}), "stored as integer … to boolean"),
        (opcua(), opcua(type="float64"), None),
        (press(INT), press({**INT, "unit": "bar", "every": "60s"}), None),
    ],
)  # fmt: skip
def test_a_change_of_a_stored_type_is_refused_and_what_runs_stays(
    before: Manifest, after: Manifest, said: str | None
) -> None:
    found = lock_types(desired(after), as_applied(desired(before)), Known())
    if said is None:
        assert found == desired(after)
        return
    (error,) = found.errors
    first, second = said.split(" … ")
    assert first in error.message
    assert second in error.message
    assert error.path == "press.yaml"
    assert found.broken == {"press": error}
    assert found.manifests["press"].digest == before.digest


def test_two_collectors_of_one_measurement_and_sink_agree_or_the_newcomer_is_refused() -> None:
    first, second = press(INT, measurement="m"), press(FLOAT, name="alpha", measurement="m")
    elsewhere = manifest("beta", devices=[{"host": "h"}], tags=[FLOAT], measurement="m", sinks=["other"])
    found = lock_types(desired(first, second, elsewhere), as_applied(desired(first)), Known())
    assert found.manifests.keys() == {"press", "beta"}
    assert "by press" in found.broken["alpha"].message
    unseen = lock_types(desired(first, second), {}, Known())
    assert unseen.manifests.keys() == {"alpha"}  # neither has run: the first by name has the word


def test_what_ran_beside_another_type_already_goes_on_and_is_told() -> None:
    both = desired(press(INT, measurement="m"), press(FLOAT, name="alpha", measurement="m"))
    found = lock_types(both, as_applied(both), Known())
    assert found.manifests == both.manifests
    assert found.broken.keys() == {"press"}


def test_types_are_worked_out_only_where_something_may_differ() -> None:
    known = Known()
    plant = desired(*(press(INT, name=f"p{n}") for n in range(5)))
    lock_types(plant, as_applied(plant), known)
    assert known.types == {}
    lock_types(desired(press(SCALED, name="p1")), as_applied(plant), known)
    assert {name for name, _ in known.types} == {"p1"}
