"""`daq doctor`: what is wrong with this machine, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
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
    yield from check_host(options.state, options.listen_address, collectors, git=options.git is not None)
    yield judged
    if not offline:
        yield from check_reach({n: m for n, m in manifests.items() if m.running})


def _manifests(options: Options) -> tuple[dict[str, Manifest], Finding]:
    from reconciler import desired
    from reconciler.doctor.finding import fail, ok
    from reconciler.gitsource.commands import GitError
    from reconciler.gitsource.commits import commits, desired_at, newest

    source = options.manifests
    try:
        if isinstance(source, Path):
            manifests, errors = desired.check([], source)
        else:
            with commits(source) as (repository, path):
                found = desired_at(repository, newest(source), path)
            manifests, errors = dict(found.manifests), list(found.errors)
    except (OSError, GitError) as error:
        what = f"cannot read {error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        return {}, fail("manifests", f"{what}; name them by --desired or --git, or begin with daq init")
    count = sum(1 for m in manifests.values() if m.path)
    if errors:
        return manifests, fail("manifests", f"{len(errors)} errors, the first: {errors[0]}; see daq validate")
    return manifests, ok("manifests", f"{count} are valid")
