"""What wakes the loop before its clock does: real directories, a real inotify descriptor."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from collectors.contract import monotonic
from reconciler.desired.reader import QUIET_S
from reconciler.loop.watch import LONGEST_S, Watch

SOON_S = 5.0


@asynccontextmanager
async def watching(root: Path) -> AsyncIterator[tuple[Watch, asyncio.Queue[float]]]:
    """A watch that looks were made with, and the times at which it told of changes."""
    told: asyncio.Queue[float] = asyncio.Queue()
    watch = Watch(root, lambda: told.put_nowait(monotonic()))
    watch.renew()
    try:
        yield watch, told
    finally:
        watch.close()


def _save(path: Path) -> None:
    path.write_text("a: 1\n")


def _replace(path: Path) -> None:
    new = path.with_name(".new")
    new.write_text("a: 2\n")
    new.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file is written": lambda root: _save(root / "press.yaml"),
    "a file is replaced": lambda root: _replace(root / "press.yaml"),
    "a file is removed": lambda root: (root / "oven.yaml").unlink(),
    "a file deep below is written": lambda root: _save(root / "hall" / "north" / "press.yaml"),
    "a file's mode is changed": lambda root: (root / "oven.yaml").chmod(0o600),
    "a directory is removed": lambda root: shutil.rmtree(root / "hall"),
    "the root is removed": shutil.rmtree,
    "the root is renamed": lambda root: root.rename(root.with_name("elsewhere")),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "desired"
    (found / "hall" / "north").mkdir(parents=True)
    _save(found / "oven.yaml")
    return found


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_told_once_it_has_settled(root: Path, change: str) -> None:
    async def run() -> None:
        async with watching(root) as (_, told):
            begin = monotonic()
            CHANGES[change](root)
            assert await asyncio.wait_for(told.get(), SOON_S) - begin >= QUIET_S

    asyncio.run(run())


def test_many_changes_at_once_are_told_once(root: Path) -> None:
    async def run() -> None:
        async with watching(root) as (_, told):
            for n in range(200):
                _save(root / f"c{n}.yaml")
            await asyncio.wait_for(told.get(), SOON_S)
            _save(root / "last.yaml")
            await asyncio.wait_for(told.get(), SOON_S)
            assert told.empty()

    asyncio.run(run())


def test_what_never_settles_is_told_all_the_same(root: Path) -> None:
    async def run() -> None:
        async with watching(root) as (_, told):
            begin = monotonic()
            while told.empty():
                _save(root / "press.yaml")
                await asyncio.sleep(QUIET_S / 4)
                assert monotonic() - begin < SOON_S
            assert await told.get() - begin >= LONGEST_S

    asyncio.run(run())


@pytest.mark.parametrize("made", ["a directory", "the root", "a swapped link"])
def test_what_appears_is_watched_from_the_next_look_on(tmp_path: Path, made: str) -> None:
    async def run() -> None:
        root = tmp_path / "desired"
        if made == "a swapped link":
            (tmp_path / "old").mkdir()
            (tmp_path / "new").mkdir()
            root.symlink_to("old")
        elif made == "a directory":
            root.mkdir()
        async with watching(root) as (watch, told):
            if made == "a swapped link":
                (tmp_path / "link").symlink_to("new")
                (tmp_path / "link").replace(root)
            else:
                (root / "hall").mkdir(parents=True)
            await asyncio.wait_for(told.get(), SOON_S)
            watch.renew()
            _save(root / "hall" / "press.yaml" if made == "a directory" else root / "press.yaml")
            await asyncio.wait_for(told.get(), SOON_S)

    asyncio.run(run())


def test_what_changes_beside_the_root_wakes_nobody(root: Path) -> None:
    async def run() -> None:
        async with watching(root) as (_, told):
            _save(root.with_name("loop.log"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(told.get(), 5 * QUIET_S)

    asyncio.run(run())
