"""Hints that something changed under the manifests or in the reports; never the only reason to look.

watchfiles misses swapped links, removed roots and more (each seen), so a watch only ends early what would otherwise
wait for the timer, and is armed anew whenever its directory is another one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from watchfiles import awatch

RELOOK_S = 2.0

logger = logging.getLogger("daq.watch")


async def watch(path: Path, changed: Callable[[Collection[str]], None], *, calm_s: float = 0.0) -> None:
    """Call `changed` at every change below `path`, until cancelled; at most once in `calm_s`. It is given the paths
    that changed, none where anything may have.

    `path` may be missing, a link, swapped or recreated: it is looked at every 2 s.
    """
    while True:
        identity = _identity(path)
        if identity is None:
            await asyncio.sleep(RELOOK_S)
            if _identity(path) is not None:
                changed(())
            continue
        try:
            async for changes in awatch(
                _target(path),
                watch_filter=None,
                step=50 if calm_s else 10,
                rust_timeout=int(RELOOK_S * 1000),
                yield_on_timeout=True,
            ):
                if changes:
                    changed({file for _, file in changes})
                    await asyncio.sleep(calm_s)
                if _identity(path) != identity:
                    changed(())
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
