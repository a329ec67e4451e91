"""`daq run`: the control loop."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Annotated

import typer

from reconciler.cli.options import Options

logger = logging.getLogger("daq")


def run(
    options: Options,
    stop_on_exit: Annotated[
        bool, typer.Option("--stop-on-exit", help="Stop all collectors too when this command ends.")
    ] = False,
) -> None:
    """The control loop: watch, converge, publish, serve. Exit 0 on SIGTERM or Ctrl-C; collectors keep running."""
    from collectors.logform import log_to_stderr
    from reconciler.loop.run import run_loop
    from reconciler.processes import StateDirError

    log_to_stderr(options.log_format, time.localtime)
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    try:
        code = asyncio.run(
            run_loop(
                options.state,
                options.manifests,
                options.this_node,
                options.endpoint,
                stop_on_exit=stop_on_exit,
                say=logger.info if options.log_format == "json" else lambda text: typer.echo(text, err=True),
            )
        )
    except StateDirError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except OSError as error:
        typer.echo(error.strerror or str(error), err=True)
        raise typer.Exit(2) from None
    raise typer.Exit(code)
