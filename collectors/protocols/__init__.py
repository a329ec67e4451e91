"""One file per protocol, found by the `type` of a manifest and imported when it is first asked for."""

from __future__ import annotations

import importlib
import re
from typing import cast

from collectors.model import ProtocolFile
from collectors.session import SessionFile


def load(name: str) -> ProtocolFile | SessionFile:
    """The protocol of that name. Raises LookupError."""
    if not re.fullmatch(r"[a-z0-9]+", name):
        raise LookupError(f"cannot use {name!r} as a protocol: a protocol's name is letters and digits")
    module = f"{__name__}.{name}"
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module:
            raise
        raise LookupError(f"cannot find a protocol named {name!r}") from None
    return found if isinstance(found, SessionFile) else cast(ProtocolFile, found)
