"""`daq send`: the sender of one sink, for those who let something else than `daq run` keep it."""

from __future__ import annotations

from typing import Annotated

import typer

from reconciler.cli.asking import fail
from reconciler.cli.chosen import complete_names
from reconciler.cli.manifests import UnreadError, manifests_of
from reconciler.cli.options import Options


def send(
    options: Options,
    name: Annotated[
        str,
        typer.Argument(help="Which sink.", show_default=False, metavar="SINK", autocompletion=complete_names),
    ],
) -> None:
    """Send what the outboxes of the state directory hold for one sink, until SIGTERM, with what its manifest says now.
    For a container of its own beside `daq run --senders elsewhere`. Exit 0, or 2 where it cannot start.
    """
    from collectors.contract import SpecFile
    from reconciler.processes import StartError, StateDirError, open_state_dir
    from reconciler.processes.foreground import become

    try:
        desired = manifests_of(options)
        manifest = desired.manifests.get(name)
        if manifest is None or manifest.kind != "Sink":
            sinks = ", ".join(sorted(n for n, m in desired.manifests.items() if m.kind == "Sink"))
            wrong = [str(error) for error in desired.errors]
            fail("\n".join([f"cannot send to {name}: there is no such Sink; there are: {sinks}", *wrong]))
        directory = str((options.directory.absolute() / manifest.path).parent)
        spec = SpecFile("Sink", name, manifest.digest, manifest.given, options.this_node.name, directory)
        become(spec, open_state_dir(options.state.root))
    except (UnreadError, StateDirError, StartError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot start {name}: {error}")
