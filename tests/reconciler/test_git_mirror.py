"""What a killed reconciler left of its gits and of its mirror, and what the next one makes of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.gitsource.reader import GitReader
from reconciler.processes import proctable
from tests.reconciler.gitworld import World, manifest, names
from tests.waiting import wait_until

pytestmark = pytest.mark.e2e


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.reader.close()


def test_what_a_killed_reconciler_left_fetching_ends_with_the_next_one(world: World) -> None:
    config = {"GIT_CONFIG_GLOBAL": str(world.directory / "git-of-another"), "PATH": os.environ["PATH"]}
    stranger = subprocess.Popen(["sleep", "1000"], env=config)
    config["GIT_CONFIG_GLOBAL"] = str(world.directory / "config")
    fetching = subprocess.Popen(["sh", "-c", "sleep 1000 & wait"], env=config, start_new_session=True)
    world.repository.commit({"desired/a.yaml": manifest("a")})
    try:
        world.settle()
        assert fetching.wait(5) == -signal.SIGKILL
        wait_until(lambda: not _of_session(fetching.pid), "its helpers to end")
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("damage", ["locks", "half made", "objects", "refs", "nothing in it"])
def test_a_mirror_that_a_killed_git_left_or_that_is_damaged_is_mended(world: World, damage: str) -> None:
    good = world.repository.commit({"desired/a.yaml": manifest("a")})
    world.settle()
    world.reader.close()
    mirror = world.directory / "mirror"
    match damage:
        case "locks":
            for name in ("config.lock", "packed-refs.lock", "refs/daq/applied.lock", "refs/daq/fetched.lock"):
                (mirror / name).touch()
        case "half made":
            mirror.rename(mirror.with_suffix(".new"))
        case "objects":
            for path in [p for p in (mirror / "objects").rglob("*") if p.is_file()]:
                path.chmod(0o600)
                path.write_bytes(b"")
        case "refs":
            (mirror / "refs" / "daq" / "applied").write_text("not a commit\n")
        case "nothing in it":
            shutil.rmtree(mirror)
            mirror.mkdir()
    world.reader = GitReader(world.remote, world.directory)
    desired = world.settle()
    assert (names(desired), desired.source.applied, desired.source.error) == ({"a"}, good, None)


def _of_session(session: int) -> list[int]:
    return [
        pid
        for pid in proctable.pids()
        if (s := proctable.stat(pid)) and s.session == session and not s.zombie
    ]
