"""Hints that something changed under the manifests; never the only reason to look.

watchfiles misses swapped links, removed roots and more (each seen), so a watch only ends early what would otherwise
wait for the timer, and is armed anew whenever its directory is another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from watchfiles import awatch

RELOOK_S = 2.0
STEP_MS = 10
"""So often watchfiles asks itself whether anything has changed, and tells of it when nothing more does in another."""

logger = logging.getLogger("daq.watch")


async def watch(path: Path, changed: Callable[[], None]) -> None:
    """Call `changed` at every change below `path`, until cancelled.

    `path` may be missing, a link, swapped or recreated: it is looked at every 2 s.
    """
    while True:
        identity = _identity(path)
        if identity is None:
            await asyncio.sleep(RELOOK_S)
            if _identity(path) is not None:
                changed()
            continue
        try:
            async for changes in awatch(
                _target(path),
                watch_filter=None,
                step=STEP_MS,
                rust_timeout=int(RELOOK_S * 1000),
                yield_on_timeout=True,
            ):
                if changes:
                    changed()
                if _identity(path) != identity:
                    changed()
                    break
        except (OSError, RuntimeError) as error:
            logger.warning("cannot watch %s, looking at it by the clock only: %s", path, error)
            await asyncio.sleep(RELOOK_S)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _target(path: Path) -> Path:
    return path.resolve()
