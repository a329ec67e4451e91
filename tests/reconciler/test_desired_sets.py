"""A change that spans files is judged as one set; what is invalid in it keeps its last good version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.reconciler.test_desired_reader import SINK, World, interval, manifest, names, world

__all__ = ["world"]


def user(name: str, sink: str, interval: str = "1s") -> str:
    return manifest(name, interval, f"  sinks: [{sink}]\n")


def sinks(desired: Any, name: str) -> Sequence[str]:
    found: Sequence[str] = desired.manifests[name].spec["sinks"]
    return found


def plant(world: World) -> None:
    """Two users of one sink, all in force."""
    world.write("sink.yaml", SINK)
    world.write("a.yaml", user("a", "plant"))
    world.write("b.yaml", user("b", "plant"))
    assert not world.settle().errors


def test_a_renamed_sink_and_its_users_come_into_force_together(world: World) -> None:
    plant(world)
    world.write("sink.yaml", SINK.replace("plant", "hall"))
    world.write("a.yaml", user("a", "hall"))
    world.write("b.yaml", user("b", "hall"))
    desired = world.settle()
    assert desired.errors == ()
    assert names(desired) == {"a", "b", "hall"}
    assert sinks(desired, "a") == sinks(desired, "b") == ["hall"]


def test_a_user_that_was_forgotten_stays_as_it_was_and_the_rest_applies(world: World) -> None:
    plant(world)
    world.write("sink.yaml", SINK.replace("plant", "hall"))
    world.write("a.yaml", user("a", "hall"))
    desired = world.settle()
    assert [e.path for e in desired.errors] == ["b.yaml"]
    assert "no Sink named plant" in desired.errors[0].message
    assert sinks(desired, "a") == ["hall"]
    assert sinks(desired, "b") == ["plant"]
    assert "hall" in names(desired)


def test_users_of_a_renamed_sink_that_is_broken_stay_as_they_were_with_the_sink(world: World) -> None:
    plant(world)
    world.write("sink.yaml", SINK.replace("plant", "hall").replace("type: sqlite", "type: nothing"))
    world.write("a.yaml", user("a", "hall"))
    world.write("b.yaml", user("b", "hall"))
    world.write("c.yaml", manifest("c"))
    desired = world.settle()
    assert names(desired) >= {"a", "b", "c", "plant"}
    assert sinks(desired, "a") == sinks(desired, "b") == ["plant"]
    assert {"a", "b"} <= desired.broken.keys()


def test_a_broken_edit_of_a_sink_leaves_it_in_force_for_new_users(world: World) -> None:
    plant(world)
    world.write("sink.yaml", SINK.replace("{type: sqlite}", "{type: ["))
    world.write("a.yaml", user("a", "plant", "2s"))
    world.write("n.yaml", user("n", "plant"))
    desired = world.settle()
    assert interval(desired, "a") == "2s"
    assert names(desired) == {"a", "b", "n", "plant"}
    assert desired.broken.keys() == {"plant"}


def test_two_names_may_be_exchanged_between_files(world: World) -> None:
    world.write("1.yaml", manifest("a", "1s"))
    world.write("2.yaml", manifest("b", "2s"))
    world.settle()
    world.write("1.yaml", manifest("b", "3s"))
    world.write("2.yaml", manifest("a", "4s"))
    desired = world.settle()
    assert desired.errors == ()
    assert (interval(desired, "a"), interval(desired, "b")) == ("4s", "3s")


@given(broken=st.sets(st.sampled_from("abc")))
def test_what_is_valid_applies_whatever_else_is_broken(broken: set[str], tmp_path_factory: Any) -> None:
    world = World(tmp_path_factory.mktemp("set"))
    for name in "abc":
        world.write(f"{name}.yaml", manifest(name, "1s"))
    world.settle()
    for name in "abc":
        text = manifest(name, "2s")
        world.write(f"{name}.yaml", text.replace("type: modbus", "type: nothing") if name in broken else text)
    desired = world.settle()
    assert {n: interval(desired, n) for n in "abc"} == {n: "1s" if n in broken else "2s" for n in "abc"}
    assert desired.broken.keys() == broken
