"""How often a process forces data to disk: counted in the process itself, for the kernel keeps no such count."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ENV = "BENCH_SYNCS"


def counting(directory: Path) -> dict[str, str]:
    """What a process needs in its environment to be counted. Raises LookupError where there is no C compiler."""
    if (compiler := shutil.which("cc")) is None:
        raise LookupError("cannot count what is forced to disk: no C compiler (cc) is installed")
    counter, library = directory / "syncs", directory / "syncs.so"
    counter.write_bytes(bytes(8))
    source = Path(__file__).with_name("syncs.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    return {"LD_PRELOAD": str(library), ENV: str(counter)}


def counted() -> int | None:
    """Calls of fsync and fdatasync of this process so far; None where they are not counted."""
    path = os.environ.get(ENV)
    return int.from_bytes(Path(path).read_bytes(), "little") if path else None
