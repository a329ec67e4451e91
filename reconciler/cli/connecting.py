"""How a command reads devices itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from collectors.contract import DeviceReport
from reconciler.cli.options import Options
from reconciler.cli.progress import progress

if TYPE_CHECKING:
    from collectors.spec import CollectorSpec


def read_devices(
    options: Options, spec: CollectorSpec, directory: Path, texts: Mapping[str, Mapping[str, str]]
) -> tuple[list[dict[str, Any]], list[DeviceReport]]:
    """One read of every tag: the values, and how each device answered.

    Relative paths of secrets start at `directory`.
    """
    from collectors.once import read_once
    from collectors.session import Home

    logging.getLogger().addHandler(logging.NullHandler())  # what a collector logs is in the reports
    home = Home(options.state, directory, options.this_node.name)
    with progress("reading"):
        return asyncio.run(read_once(spec, home, texts))
