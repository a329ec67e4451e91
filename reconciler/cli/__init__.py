"""The program `daq`: one thin file for each group of commands, imported when one of them is called."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PROGRAM = "daq"
COMPLETE = "_DAQ_COMPLETE"
"""Set by the shell while it asks for completions."""


def main() -> None:
    """Entry point of the script."""
    arguments = sys.argv[1:]
    if not arguments and COMPLETE not in os.environ:
        sys.stdout.write(_welcome())
        return
    from reconciler.cli.commands import program
    from reconciler.cli.options import options_last

    if COMPLETE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
    program().main(options_last(arguments), prog_name=PROGRAM, complete_var=COMPLETE)


def _welcome() -> str:
    """What a newcomer does first, here."""
    here = Path("desired").is_dir()
    first = (
        "  daq diff           what would be started, stopped or restarted now\n"
        "  daq run            do it, and keep it so; Ctrl-C ends only the loop\n"
        "  daq status         in a second terminal: what is true\n"
        if here
        else "  daq init plant     make a directory with a first manifest, then: cd plant\n"
        "  daq run            there: start what it declares, and keep it running\n"
        "  daq status         in a second terminal: what is true\n"
    )
    place = "There are manifests in ./desired." if here else "There is no ./desired here yet."
    return (
        "daq keeps a plant's data collectors running, as declared in manifests,\n"
        f"and loses none of their data. {place}\n\n{first}\ndaq --help lists all commands.\n"
    )
