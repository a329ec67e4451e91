"""``python -m collectors <spec file>``: a built-in collector, or the sender of a sink."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from pathlib import Path

from collectors.contract import ENV_STATE_DIR, EXIT_CONFIG, SpecFile, StateDir, read_json
from collectors.logform import ENV_LOG_FORMAT, log_to_stderr

log = logging.getLogger("collectors")


def main() -> int:
    """Run what the spec file named in argv says; the exit code."""
    log_to_stderr(os.environ.get(ENV_LOG_FORMAT, "text"), time.gmtime)
    if len(sys.argv) != 2:
        log.error("cannot start: give one argument, the path of a spec file")
        return EXIT_CONFIG
    path = Path(sys.argv[1])
    try:
        spec = SpecFile(**read_json(path))
    except (OSError, ValueError, TypeError) as error:
        log.error("cannot read the spec file %s: %s", path, error)
        return EXIT_CONFIG
    root = os.environ.get(ENV_STATE_DIR)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ours below; asyncio would prepare for its own first
    return asyncio.run(run(spec, StateDir(Path(root) if root else path.resolve().parent.parent)))


async def run(spec: SpecFile, state: StateDir) -> int:
    """Collect, or send, until SIGTERM or SIGINT; the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    if spec.kind == "Sink":  # each child imports only its own half
        from collectors import sender  # noqa: PLC0415

        return await sender.run(spec, state, stop)
    from collectors import collect  # noqa: PLC0415

    return await collect.run(spec, state, stop)


if __name__ == "__main__":
    sys.exit(main())
