"""`daq run`: the control loop."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import Annotated

import typer

from reconciler.cli.options import Options


def run(
    options: Options,
    stop_on_exit: Annotated[
        bool, typer.Option("--stop-on-exit", help="Stop all collectors too when this command ends.")
    ] = False,
) -> None:
    """The control loop: watch, converge, publish, serve. Exit 0 on SIGTERM or Ctrl-C; collectors keep running."""
    from reconciler.loop.run import run_loop
    from reconciler.processes import StateDirError

    _log_as(options.log_format)
    try:
        code = asyncio.run(
            run_loop(
                options.state,
                options.manifests,
                options.this_node,
                options.endpoint,
                stop_on_exit=stop_on_exit,
                say=lambda text: typer.echo(text, err=True),
            )
        )
    except StateDirError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(error.strerror or str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "at": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def _log_as(form: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(_JsonLines())
    else:
        formatter = logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")
        formatter.converter = time.localtime
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
