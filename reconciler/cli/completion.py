"""`daq completion`: the shell's Tab key."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from typer._completion_shared import get_completion_script

from reconciler.cli import COMPLETE, PROGRAM
from reconciler.cli.options import Options

Shell = Annotated[Literal["bash", "zsh", "fish"], typer.Argument(help="Which shell.", show_default=False)]


def completion(_options: Options, shell: Shell) -> None:
    """Print a script that completes commands, options and collectors' names. In ~/.bashrc:
    eval "$(daq completion bash)". Exit 0.
    """
    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=COMPLETE, shell=shell))
