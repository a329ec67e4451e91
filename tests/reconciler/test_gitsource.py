"""What is in force while a branch moves, breaks, is rewritten or cannot be reached, on real repositories."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.contract import monotonic
from reconciler.gitsource.reader import GitReader
from reconciler.gitsource.worktree import WorkTreeReader
from tests.reconciler.gitworld import World, manifest, names, program
from tests.repository import Repository, key_of
from tests.waiting import wait_until


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.reader.close()


def test_manifests_come_from_the_commit_and_not_from_the_work_tree(world: World) -> None:
    head = world.repository.commit({"desired/a.yaml": manifest("a")})
    world.repository.write({"desired/a.yaml": manifest("a", "9s"), "desired/b.yaml": manifest("b")})
    desired = world.settle()
    assert names(desired) == {"a"}
    assert desired.manifests["a"].spec["interval"] == "1s"
    source = desired.source
    assert (source.kind, source.branch, source.error, source.verified) == ("git", "main", None, None)
    assert (source.fetched, source.attempted, source.applied) == (head, head, head)
    assert source.fetched_at


def test_a_new_commit_comes_into_force_by_itself(world: World) -> None:
    world.restart(pull_s=0.05)
    world.repository.commit({"desired/a.yaml": manifest("a")})
    assert names(world.settle()) == {"a"}
    world.repository.commit({"desired/a.yaml": None, "desired/b.yaml": manifest("b")})
    wait_until(lambda: names(world.reader.read(world.now)) == {"b"}, "the next revision")


@pytest.mark.parametrize("prefix", ["", "file://"])
def test_a_bare_repository_another_branch_and_another_path_can_be_followed(
    world: World, tmp_path: Path, prefix: str
) -> None:
    world.repository.commit({"sites/north/x.yaml": manifest("x"), "desired/a.yaml": manifest("a")})
    world.repository.git("branch", "live")
    bare = tmp_path / "bare.git"
    world.repository.git("clone", "--quiet", "--bare", ".", str(bare))
    world.restart(url=f"{prefix}{bare}", branch="live", path="sites/north")
    assert names(world.settle()) == {"x"}


def test_a_broken_commit_changes_nothing_and_is_told(world: World) -> None:
    good = world.repository.commit({"desired/a.yaml": manifest("a"), "desired/b.yaml": manifest("b")})
    world.settle()
    bad = world.repository.commit({"desired/a.yaml": manifest("a", "2s"), "desired/b.yaml": "kind: ["})
    desired = world.settle()
    assert names(desired) == {"a", "b"}
    assert desired.manifests["a"].spec["interval"] == "1s"
    assert (desired.source.applied, desired.source.attempted) == (good, bad)
    assert str(desired.source.error).startswith(f"cannot take revision {bad[:12]}: b.yaml:")
    assert desired.errors
    again = world.settle()
    assert (again.errors, again.source.error) == (desired.errors, desired.source.error)
    world.repository.commit({"desired/b.yaml": manifest("b", "3s")})
    mended = world.settle()
    assert (mended.errors, mended.source.error) == ((), None)
    assert mended.manifests["a"].spec["interval"] == "2s"


def test_a_rewritten_branch_is_taken_only_when_forced(world: World) -> None:
    world.repository.commit({"desired/a.yaml": manifest("a")})
    good = world.repository.commit({"desired/b.yaml": manifest("b")})
    world.settle()
    world.repository.git("reset", "--quiet", "--hard", "HEAD~1")
    rewritten = world.repository.commit({"desired/c.yaml": manifest("c")})
    world.repository.git("reflog", "expire", "--expire=now", "--all")
    world.repository.git("gc", "--quiet", "--prune=now")
    desired = world.settle()
    assert names(desired) == {"a", "b"}
    assert (desired.source.applied, desired.source.fetched) == (good, rewritten)
    assert "daq apply --force" in str(desired.source.error)
    world.restart()
    assert names(world.settle()) == {"a", "b"}
    forced = world.settle(force=True)
    assert names(forced) == {"a", "c"}
    assert (forced.source.applied, forced.source.error) == (rewritten, None)


def test_an_unreachable_remote_leaves_the_last_revision_in_force_across_restarts(
    world: World, tmp_path: Path
) -> None:
    good = world.repository.commit({"desired/a.yaml": manifest("a")})
    fetched_at = world.settle().source.fetched_at
    shutil.move(world.repository.root, tmp_path / "elsewhere")
    desired = world.settle()
    assert names(desired) == {"a"}
    assert str(desired.source.error).startswith("cannot fetch the branch main: ")
    assert desired.source.fetched_at == fetched_at
    world.restart()
    desired = world.settle()
    assert (names(desired), desired.source.applied, desired.unread) == ({"a"}, good, None)


def test_with_no_revision_at_all_nothing_is_wanted_and_nothing_counts_as_removed(world: World) -> None:
    world.restart(branch="missing")
    world.repository.commit({"desired/a.yaml": manifest("a")})
    desired = world.settle()
    assert str(desired.unread).startswith("cannot fetch the branch missing: ")
    assert names(desired) == set()


def test_a_commit_without_the_directory_is_refused(world: World) -> None:
    good = world.repository.commit({"desired/a.yaml": manifest("a")})
    world.settle()
    world.repository.commit({"desired/a.yaml": None, "README": "moved\n"})
    desired = world.settle()
    assert (names(desired), desired.source.applied) == ({"a"}, good)
    assert "there is no desired/ in the commit" in str(desired.source.error)


def test_a_symlink_and_a_submodule_among_the_manifests_are_errors(world: World) -> None:
    good = world.repository.commit({"desired/a.yaml": manifest("a")})
    world.settle()
    (world.repository.root / "desired" / "b.yaml").symlink_to("a.yaml")
    world.repository.git("add", "--all")
    world.repository.git("update-index", "--add", "--cacheinfo", f"160000,{good},desired/sub")
    world.repository.git("commit", "--quiet", "-m", "entries that are no files")
    desired = world.settle()
    assert desired.source.applied == good
    assert {(e.path, e.message.split(";")[0]) for e in desired.errors} == {
        ("b.yaml", "it is a symlink"),
        ("sub", "it is a submodule"),
    }


def test_point_tables_and_config_files_come_from_the_commit(world: World) -> None:
    table = "name,address,type\nfirst,40001,int16\n"
    text = manifest("a", extra="  tagsFrom: [points/a.csv]\n")
    gateway = program("gw", "  configFiles: [conf/gw.ini]\n")
    files = {"desired/a.yaml": text, "desired/points/a.csv": table, "desired/gw.yaml": gateway}
    world.repository.commit(files | {"conf/gw.ini": "one\n", "bin/gw": "#!/bin/sh\n"})
    before = world.settle()
    assert [t["name"] for t in before.manifests["a"].spec["tags"]] == ["t", "first"]
    world.repository.write({"desired/points/a.csv": "", "conf/gw.ini": "not committed\n"})
    assert world.settle().manifests == before.manifests
    world.repository.commit({"desired/points/a.csv": table + "second,40002,int16\n", "conf/gw.ini": "two\n"})
    after = world.settle()
    assert [t["name"] for t in after.manifests["a"].spec["tags"]] == ["t", "first", "second"]
    assert after.manifests["gw"].digest != before.manifests["gw"].digest


def test_a_config_file_outside_the_commit_is_an_error(world: World) -> None:
    world.repository.commit({"desired/gw.yaml": program("gw", "  configFiles: [/etc/hostname, ../x]\n")})
    desired = world.settle()
    assert [e.where for e in desired.errors] == ["spec.configFiles[0]", "spec.configFiles[1]"]
    assert "all files come from there" in desired.errors[0].message


def test_a_checkout_is_whole_read_only_and_kept_while_it_is_used(world: World) -> None:
    first = world.repository.commit({"desired/gw.yaml": program("gw"), "bin/gw": "one\n"})
    (world.repository.root / "bin" / "gw").chmod(0o755)
    first = world.repository.commit({})
    world.settle()
    checkout = world.reader.base
    assert checkout.name == first
    assert ((checkout / "bin" / "gw").stat().st_mode & 0o777, checkout.stat().st_mode & 0o777) == (
        0o555,
        0o555,
    )
    used = str(world.reader.root)
    second = world.repository.commit({"bin/gw": "two\n"})
    world.settle()
    assert (world.reader.base.name, (world.reader.base / "bin" / "gw").read_text()) == (second, "two\n")
    world.reader.prune(frozenset({used}))
    assert (checkout / "bin" / "gw").read_text() == "one\n"
    world.reader.prune(frozenset())
    assert not checkout.exists()
    assert world.reader.base.exists()


def test_only_commits_signed_by_an_allowed_signer_are_taken(world: World, tmp_path: Path) -> None:
    good, bad = key_of(tmp_path, "good"), key_of(tmp_path, "bad")
    signers = tmp_path / "signers"
    signers.write_text(f"a@example.org {good.with_suffix('.pub').read_text()}")
    world.restart(signers=signers)
    signed = world.repository.commit(
        {"desired/a.yaml": manifest("a")}, "-S", gpg__format="ssh", user__signingKey=str(good)
    )
    desired = world.settle()
    assert (desired.source.applied, desired.source.verified) == (signed, True)
    world.repository.commit(
        {"desired/b.yaml": manifest("b")}, "-S", gpg__format="ssh", user__signingKey=str(bad)
    )
    desired = world.settle()
    assert (names(desired), desired.source.applied, desired.source.verified) == ({"a"}, signed, False)
    assert "cannot verify the signature" in str(desired.source.error)
    world.repository.commit({"desired/c.yaml": manifest("c")})
    assert world.settle().source.applied == signed


def test_the_callers_git_variables_do_not_reach_git(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.repository.commit({"desired/a.yaml": manifest("a")})
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", "/nowhere")
    assert names(world.settle()) == {"a"}


def test_a_hung_fetch_delays_no_read_and_ends_with_the_reader(world: World, tmp_path: Path) -> None:
    world.repository.commit({"desired/a.yaml": manifest("a")})
    world.settle()
    pidfile = tmp_path / "pid"
    hang = tmp_path / "hang"
    hang.write_text(f"#!/bin/sh\necho $$ > {pidfile}.new && mv {pidfile}.new {pidfile}\nexec sleep 1000\n")
    hang.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f'[core]\n\tsshCommand = "{hang}"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        world.restart(url="ssh://nobody@127.0.0.1/plant")
        world.reader.refresh()
        world.reader.read(world.now)
        pid = int(wait_until(lambda: pidfile.exists() and pidfile.read_text(), "the hung fetch"))
        assert names(world.reader.read(world.now)) == {"a"}
    world.reader.close()
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the end of what hung")


def test_the_first_look_of_the_next_reconciler_knows_the_revision_in_force(world: World) -> None:
    good = world.repository.commit({"desired/a.yaml": manifest("a")})
    world.settle()
    world.restart(url="/nowhere/at/all")
    desired = world.reader.read(world.now)
    assert (names(desired), desired.source.applied, desired.unread) == ({"a"}, good, None)


def test_a_look_beside_the_owner_writes_nothing(world: World) -> None:
    good = world.repository.commit({"desired/a.yaml": manifest("a")})
    world.settle()
    new = world.repository.commit({"desired/b.yaml": manifest("b")})
    before = {p: p.stat().st_mtime_ns for p in world.directory.rglob("*")}
    owner, world.reader = world.reader, GitReader(world.remote, world.directory, keep=False)
    try:
        desired = world.settle()
        assert (names(desired), desired.source.applied) == ({"a", "b"}, new)
        assert {p: p.stat().st_mtime_ns for p in world.directory.rglob("*")} == before
        assert owner.read(world.now).source.applied == good
    finally:
        owner.close()


def test_a_checkout_storm_of_500_files_never_yields_a_mixed_set(world: World) -> None:
    for interval in ("1s", "2s"):
        world.repository.commit({f"desired/c{i}.yaml": manifest(f"c{i}", interval) for i in range(500)})
        world.repository.git("branch", f"at-{interval}")
    world.restart(pull_s=0.01)
    world.settle()
    for turn in range(6):
        world.repository.git("checkout", "--quiet", f"at-{1 + turn % 2}s")
        if turn == 3:
            world.repository.git("checkout", "--quiet", "main")
            world.repository.commit({f"desired/c{i}.yaml": manifest(f"c{i}", "3s") for i in range(500)})
        desired = world.reader.read(world.now)
        found = {m.spec["interval"] for m in desired.manifests.values() if m.kind == "Collector"}
        assert len(found) == 1
    last = world.settle()
    assert {m.spec["interval"] for m in last.manifests.values() if m.kind == "Collector"} == {"3s"}


def test_a_directory_in_a_repository_says_its_revision_and_whether_it_differs(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "plant")
    head = repository.commit({"desired/a.yaml": manifest("a"), "README": "x\n"})
    reader = WorkTreeReader(repository.root / "desired", tmp_path / "good")

    def told() -> tuple[str | None, bool | None]:
        source = reader.read(monotonic()).source
        return source.applied, source.dirty

    try:
        wait_until(lambda: told() == (head, False), "HEAD")
        repository.write({"README": "not a manifest\n", "desired/a.yaml": manifest("a", extra="# note\n")})
        wait_until(lambda: told() == (head, True), "dirty")
        new = repository.commit({})
        wait_until(lambda: told() == (new, False), "the new HEAD")
    finally:
        reader.close()


def test_a_directory_outside_of_any_repository_says_neither(tmp_path: Path) -> None:
    (tmp_path / "desired").mkdir()
    reader = WorkTreeReader(tmp_path / "desired", tmp_path / "good")
    source = reader.read(1000.0).source
    assert (source.kind, source.applied, source.dirty) == ("directory", None, None)
    reader.close()
