"""`daq doctor`: what is wrong with this machine, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli.options import Options
from reconciler.cli.progress import progress
from reconciler.cli.text import painted

if TYPE_CHECKING:
    from reconciler.doctor.finding import Finding
    from reconciler.model import Manifest


def doctor(
    options: Options,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Leave devices and sinks alone.")] = False,
) -> None:
    """Check kernel, limits, clock, disk, port, manifests, devices and sinks. Exit 0, or 1 if something fails."""
    failed = False
    with progress("looking"):
        findings = list(_findings(options, offline=offline))
    for found in findings:
        typer.echo(painted(f"{found.level:<4}  {found.check:<9}  {found.message}"))
        failed = failed or found.level == "fail"
    if failed:
        raise typer.Exit(1)


def _findings(options: Options, *, offline: bool) -> Iterator[Finding]:
    from reconciler.doctor.host import check_host
    from reconciler.doctor.reach import check_reach

    manifests, judged = _manifests(options)
    collectors = sum(m.kind == "Collector" for m in manifests.values())
    endpoint = options.endpoint
    address = (endpoint.host, endpoint.port) if endpoint else None
    yield from check_host(options.state, address, collectors, git=options.git is not None)
    yield judged
    if not offline:
        yield from check_reach({n: m for n, m in manifests.items() if m.running})


def _manifests(options: Options) -> tuple[dict[str, Manifest], Finding]:
    from reconciler.cli.manifests import UnreadError, manifests_of
    from reconciler.doctor.finding import fail, ok

    try:
        desired = manifests_of(options)
    except UnreadError as error:
        return {}, fail("manifests", f"{error}; name them by --desired or --git, or begin with daq init")
    manifests, errors = dict(desired.manifests), desired.errors
    count = sum(1 for m in manifests.values() if m.path)
    if errors:
        return manifests, fail("manifests", f"{len(errors)} errors, the first: {errors[0]}; see daq validate")
    return manifests, ok("manifests", f"{count} are valid")
