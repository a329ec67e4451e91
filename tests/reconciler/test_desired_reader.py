"""What is in force while files are written, broken, removed and swapped, on a real directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.desired.reader import QUIET_S, REMOVED_S, UNTERMINATED_S, DirectoryReader
from reconciler.model import Desired


def manifest(name: str, interval: str = "1s", extra: str = "") -> str:
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: modbus
  interval: {interval}
  devices: [{{host: 10.0.0.1}}]
  tags: [{{name: t, address: 40001, type: int16}}]
{extra}"""


SINK = "apiVersion: daq/v1\nkind: Sink\nmetadata: {name: plant}\nspec: {type: sqlite}\n"


class World:
    """A directory of manifests, a reader, and a clock that only this test moves."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "desired"
        self.root.mkdir()
        self.good = tmp_path / "good"
        self.now = 1000.0
        self.reader = DirectoryReader(self.root, self.good)

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def look(self, after: float = 0.0) -> Desired:
        self.now += after
        return self.reader.read(self.now)

    def settle(self) -> Desired:
        desired = self.look()
        for _ in range(9):
            if desired.look_at is None:
                return desired
            self.now = max(self.now, desired.look_at)
            desired = self.look()
        raise AssertionError(f"does not settle: {desired}")

    def restart(self) -> None:
        self.reader = DirectoryReader(self.root, self.good)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def names(desired: Desired) -> set[str]:
    return set(desired.manifests) - {"local"}


def interval(desired: Desired, name: str) -> str:
    return str(desired.manifests[name].spec["interval"])


def test_the_embedded_sink_is_always_wanted(world: World) -> None:
    assert world.look().manifests["local"].spec == {"type": "sqlite"}


def test_manifests_are_read_from_every_depth_and_editor_files_are_not(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    world.write("x/y/b.yml", manifest("b"))
    for path in (
        ".c.yaml",
        "x/.git/d.yaml",
        "e.yaml.bak",
        "f.yaml~",
        "#g.yaml#",
        ".#h.yaml",
        ".i.yaml.swp",
        "4913",
    ):
        world.write(path, manifest("bad"))
    assert names(world.settle()) == {"a", "b"}


def test_an_edit_counts_only_after_a_quiet_moment_and_the_old_version_stays_until_then(world: World) -> None:
    world.write("a.yaml", manifest("a", "1s"))
    world.settle()
    world.write("a.yaml", manifest("a", "22s"))
    desired = world.look()
    assert interval(desired, "a") == "1s"
    assert desired.look_at is not None
    assert world.now < desired.look_at <= world.now + QUIET_S
    world.write("a.yaml", manifest("a", "333s"))
    assert interval(world.look(QUIET_S / 2), "a") == "1s"
    assert interval(world.look(QUIET_S * 0.75), "a") == "1s"
    assert interval(world.look(QUIET_S), "a") == "333s"


def test_a_file_without_final_newline_counts_after_a_second(world: World) -> None:
    world.write("a.yaml", manifest("a", "1s"))
    world.settle()
    world.write("a.yaml", manifest("a", "22s").rstrip())
    world.look()
    assert interval(world.look(UNTERMINATED_S / 2), "a") == "1s"
    assert interval(world.look(UNTERMINATED_S), "a") == "22s"


def test_a_half_written_file_never_removes_or_changes_a_good_manifest(world: World) -> None:
    text = manifest("a", "1s") + "---\n" + manifest("b", "1s")
    world.write("a.yaml", text)
    before = world.settle().manifests
    changed = text.replace("1s", "2s").encode()
    for length in range(len(changed)):
        (world.root / "a.yaml").write_bytes(changed[:length])
        world.look()
        assert world.look(QUIET_S / 2).manifests == before, changed[:length]
    (world.root / "a.yaml").write_bytes(changed)
    assert interval(world.settle(), "b") == "2s"


def test_a_truncated_file_that_stays_truncated_removes_no_name(world: World) -> None:
    text = manifest("a", "1s") + "---\n" + manifest("b", "1s")
    world.write("a.yaml", text)
    world.settle()
    for length in range(0, len(text), 7):
        whole = [t.rstrip("\n") for t in (manifest("a", "1s"), text)]
        if text[:length].rstrip("-\n") not in whole:
            world.write("a.yaml", text[:length])
            desired = world.settle()
            assert names(desired) == {"a", "b"}, text[:length]
            assert desired.errors


def test_a_broken_file_keeps_its_last_good_version_and_says_why(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    world.write("b.yaml", manifest("b", "1s"))
    world.settle()
    world.write("a.yaml", manifest("a").replace("spec:", "spec: ["))
    world.write("b.yaml", manifest("b", "2s"))
    desired = world.settle()
    assert interval(desired, "a") == "1s"
    assert interval(desired, "b") == "2s"
    assert desired.broken["a"].path == "a.yaml"
    assert set(desired.broken) == {"a"}


def test_a_broken_document_does_not_touch_its_neighbours(world: World) -> None:
    world.write("a.yaml", manifest("a", "1s") + "---\n" + manifest("b", "1s"))
    world.settle()
    world.write("a.yaml", manifest("a", "fast") + "---\n" + manifest("b", "2s"))
    desired = world.settle()
    assert (interval(desired, "a"), interval(desired, "b")) == ("1s", "2s")
    assert set(desired.broken) == {"a"}


def test_the_last_good_version_survives_a_restart(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    before = world.settle().manifests["a"]
    world.write("a.yaml", "spec: [")
    world.settle()
    world.restart()
    desired = world.settle()
    assert desired.manifests["a"] == before
    assert set(desired.broken) == {"a"}


def test_a_manifest_that_was_never_good_is_reported_and_not_wanted(world: World) -> None:
    world.write("a.yaml", manifest("a", "fast"))
    desired = world.settle()
    assert names(desired) == set()
    assert [e.line for e in desired.errors] == [6]


def test_a_file_that_turns_empty_is_broken_and_not_removed(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    world.settle()
    for text in ("", "# nothing\n", "---\n"):
        world.write("a.yaml", text)
        desired = world.settle()
        assert names(desired) == {"a"}
        assert "remove the file" in desired.broken["a"].message


def test_a_removal_acts_after_two_looks_a_second_apart(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    world.write("b.yaml", manifest("b"))
    world.settle()
    (world.root / "a.yaml").unlink()
    desired = world.look()
    assert names(desired) == {"a", "b"}
    assert desired.unconfirmed == {"a"}
    assert desired.look_at == world.now + REMOVED_S
    assert world.look(REMOVED_S / 2).unconfirmed == {"a"}
    assert names(world.look(REMOVED_S)) == {"b"}
    world.restart()
    assert names(world.settle()) == {"b"}


def test_a_file_that_comes_back_was_never_removed(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    world.settle()
    (world.root / "a.yaml").rename(world.root / "a.yaml~")
    assert world.look().unconfirmed == {"a"}
    (world.root / "a.yaml~").rename(world.root / "a.yaml")
    desired = world.look(REMOVED_S / 2)
    assert names(desired) == {"a"}
    desired = world.look(REMOVED_S)
    assert (names(desired), desired.unconfirmed) == ({"a"}, frozenset())


def test_a_document_taken_out_of_a_good_file_is_a_removal(world: World) -> None:
    world.write("a.yaml", manifest("a") + "---\n" + manifest("b"))
    world.settle()
    world.write("a.yaml", manifest("a"))
    world.look()
    assert world.look(QUIET_S).unconfirmed == {"b"}
    assert names(world.settle()) == {"a"}


def test_a_manifest_moved_to_another_file_is_no_removal(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    world.settle()
    (world.root / "a.yaml").rename(world.root / "z.yaml")
    world.look()
    desired = world.look(QUIET_S)
    assert (names(desired), desired.unconfirmed) == ({"a"}, frozenset())
    assert desired.manifests["a"].path == "z.yaml"


def test_a_name_used_twice_replaces_nothing_and_names_both_places(world: World) -> None:
    world.write("a.yaml", manifest("a", "1s"))
    world.settle()
    world.write("b.yaml", manifest("a", "2s"))
    world.write("a.yaml", manifest("a", "3s"))
    desired = world.settle()
    assert interval(desired, "a") == "1s"
    assert [(e.path, "b.yaml:1" in e.message or "a.yaml:1" in e.message) for e in desired.errors] == [
        ("a.yaml", True),
        ("b.yaml", True),
    ]


def test_a_new_file_cannot_take_the_name_of_a_broken_one(world: World) -> None:
    world.write("a.yaml", manifest("a", "1s"))
    world.settle()
    world.write("a.yaml", manifest("a", "fast"))
    world.write("b.yaml", manifest("a", "2s"))
    assert interval(world.settle(), "a") == "1s"


def test_a_collector_whose_sink_vanished_keeps_its_last_good_version(world: World) -> None:
    world.write("a.yaml", manifest("a", "1s", "  sinks: [plant]\n"))
    world.write("plant.yaml", SINK)
    assert not world.settle().errors
    (world.root / "plant.yaml").unlink()
    desired = world.settle()
    assert names(desired) == {"a"}
    assert "no Sink named plant" in desired.broken["a"].message
    assert (desired.broken["a"].line, desired.broken["a"].column) == (9, 11)


@pytest.mark.parametrize("how", ["missing", "file"])
def test_nothing_vanishes_while_the_root_cannot_be_read(world: World, how: str) -> None:
    world.write("a.yaml", manifest("a"))
    world.settle()
    world.root.rename(world.root.with_name("away"))
    if how == "file":
        world.root.write_text("")
    for _ in range(3):
        desired = world.look(2.0)
        assert names(desired) == {"a"}
        assert desired.unread
        assert not desired.unconfirmed
    world.restart()
    assert names(world.look()) == {"a"}
    if how == "file":
        world.root.unlink()
    world.root.with_name("away").rename(world.root)
    desired = world.look(2.0)
    assert (names(desired), desired.unread) == ({"a"}, None)


def test_a_removal_is_not_confirmed_by_a_look_that_could_not_see(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    world.settle()
    (world.root / "a.yaml").unlink()
    world.look()
    world.root.rename(world.root.with_name("away"))
    world.look(REMOVED_S)
    world.root.with_name("away").rename(world.root)
    assert world.look(REMOVED_S).unconfirmed == {"a"}
    assert names(world.look(REMOVED_S)) == set()


def test_a_root_that_is_a_symlink_may_be_swapped(world: World, tmp_path: Path) -> None:
    world.root.rmdir()
    for release, text in (("r1", manifest("a", "1s")), ("r2", manifest("a", "2s"))):
        (tmp_path / release).mkdir()
        (tmp_path / release / "a.yaml").write_text(text)
    world.root.symlink_to("r1")
    assert interval(world.settle(), "a") == "1s"
    (tmp_path / "new").symlink_to("r2")
    (tmp_path / "new").rename(world.root)
    assert interval(world.settle(), "a") == "2s"


def test_a_symlink_out_of_the_tree_is_refused_and_one_inside_is_followed(
    world: World, tmp_path: Path
) -> None:
    (tmp_path / "outside.yaml").write_text(manifest("out"))
    (world.root / "out.yaml").symlink_to(tmp_path / "outside.yaml")
    world.write("..data/in.yaml", manifest("in"))
    (world.root / "in.yaml").symlink_to("..data/in.yaml")
    desired = world.settle()
    assert names(desired) == {"in"}
    assert ["leads out of desired/" in e.message for e in desired.errors] == [True]


def test_what_lies_in_a_directory_that_cannot_be_read_does_not_vanish(world: World, tmp_path: Path) -> None:
    world.write("x/a.yaml", manifest("a"))
    world.settle()
    (world.root / "x").rename(tmp_path / "x")
    (world.root / "x").symlink_to(tmp_path / "x")
    world.look()
    desired = world.look(REMOVED_S)
    assert names(desired) == {"a"}
    assert not desired.unconfirmed
    assert [e.path for e in desired.errors] == ["x"]


def test_a_point_table_is_read_with_its_manifest_and_followed(world: World) -> None:
    world.write("points/p.csv", "name,address,type\nx,40010,int16\n")
    world.write("a.yaml", manifest("a", "1s", "  tagsFrom: [points/p.csv]\n"))
    before = world.settle().manifests["a"]
    assert [t["name"] for t in before.spec["tags"]] == ["t", "x"]
    world.write("points/p.csv", "name,address,type\nx,40010,int16\ny,40011,int16\n")
    after = world.settle().manifests["a"]
    assert [t["name"] for t in after.spec["tags"]] == ["t", "x", "y"]
    assert after.digest != before.digest
    (world.root / "points/p.csv").unlink()
    desired = world.settle()
    assert desired.manifests["a"] == after
    assert "cannot read points/p.csv" in desired.broken["a"].message


def test_a_config_file_of_an_exec_collector_changes_its_digest(world: World, tmp_path: Path) -> None:
    (tmp_path / "app.toml").write_text("a = 1\n")
    world.write(
        "e.yaml",
        "apiVersion: daq/v1\nkind: Collector\nmetadata: {name: e}\n"
        "spec: {type: exec, command: [app], configFiles: [app.toml]}\n",
    )
    before = world.settle().manifests["e"]
    (tmp_path / "app.toml").write_text("a = 22\n")
    assert world.settle().manifests["e"].digest != before.digest


def test_an_unchanged_set_is_read_once(world: World) -> None:
    world.write("a.yaml", manifest("a"))
    first = world.settle()
    assert world.look(5.0).manifests is first.manifests
