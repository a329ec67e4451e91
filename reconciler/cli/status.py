"""`daq status`: what is observed, the worst first column; `--watch` goes on."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from collectors.contract import read_json
from reconciler.cli.asking import fail
from reconciler.cli.chosen import Selector, Some, labels
from reconciler.cli.options import Options
from reconciler.cli.statustable import Status, heading, remarks, status_table
from reconciler.loop.ask import UnreachableError, ask
from reconciler.words import Language, language_of

Output = Literal["table", "wide", "json", "yaml"]

ANSWER_S = 5.0
WATCH_EVERY_S = 1.0
COURSE = 8
"""So many of the last looks stand in a sparkline."""
CLEAR = "\x1b[H\x1b[2J\x1b[3J"


def status(
    options: Options,
    names: Some = None,
    *,
    output: Annotated[Output, typer.Option("-o", "--output", help="How to print.")] = "table",
    selector: Selector = None,
    fleet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Of all hosts that this file names.", show_default=False),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, once a second, until Ctrl-C.")] = False,
    lang: Annotated[
        Language | None, typer.Option(help="Language of what to do.", show_default="as LANG says")
    ] = None,
) -> None:
    """What is observed. Exit 0, 1 if any wanted one is not healthy, 2 on error."""
    if fleet:
        from reconciler.cli.fleet import show_fleet

        show_fleet(fleet, names or (), selector, output=output)
        return
    if watch:
        if output in ("json", "yaml"):
            raise typer.BadParameter(
                "--watch shows a table; for programs there is the endpoint, /ws/processes"
            )
        with suppress(KeyboardInterrupt):
            _watch(options, names, selector, wide=output == "wide", lang=lang)
        return
    document = read_status(options)
    chosen = _choose(document["processes"], names or [], selector)
    if output == "json":
        typer.echo(json.dumps({**document, "processes": chosen}, ensure_ascii=False, indent=2))
    elif output == "yaml":
        import yaml

        plain = {**document, "processes": chosen}
        typer.echo(yaml.safe_dump(plain, allow_unicode=True, sort_keys=False), nl=False)
    else:
        typer.echo(_screen(options, document, chosen, lang, wide=output == "wide"))
    if any(p["health"] in ("down", "degraded") for p in chosen):
        raise typer.Exit(1)


def read_status(options: Options) -> Mapping[str, Any]:
    """What the running loop knows (from its file, if it does not answer), or, where none runs, one look of our own."""
    state = options.state
    try:
        return ask(state, {"op": "status"}, ANSWER_S)
    except TimeoutError:
        typer.echo("the loop does not answer; this is what it wrote last", err=True)
        try:
            document: Mapping[str, Any] = read_json(state.root / "status.json")
        except (OSError, ValueError) as error:
            fail(f"cannot read {state.root / 'status.json'}: {error}")
        return document
    except UnreachableError:
        from reconciler.loop.reconcile import Reconciler

        with Reconciler.reading(state, options.manifests, options.this_node) as reconciler:
            return reconciler.describe(reconciler.look_settled())


def _choose(
    processes: Sequence[Status], names: Sequence[str], selector: Sequence[str] | None
) -> list[Status]:
    if unknown := [name for name in names if name not in {p["name"] for p in processes}]:
        fail(f"cannot show {', '.join(unknown)}: there is no collector or sink of that name")
    wanted = labels(selector).items()
    return [p for p in processes if (not names or p["name"] in names) and wanted <= p["labels"].items()]


def _screen(
    options: Options,
    document: Mapping[str, Any],
    chosen: Sequence[Status],
    lang: Language | None,
    **how: Any,
) -> str:
    language = lang or language_of(os.environ.get("LC_ALL") or os.environ.get("LANG") or "")
    said = remarks(chosen, document, language)
    return "\n".join([heading(options.state.root, document), status_table(chosen, **how), *said])


def _watch(
    options: Options,
    names: Sequence[str] | None,
    selector: Sequence[str] | None,
    *,
    wide: bool,
    lang: Language | None,
) -> None:
    """A screen a second."""
    rates: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=COURSE))
    loads: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=COURSE))
    while True:
        document = read_status(options)
        chosen = _choose(document["processes"], names or [], selector)
        for p in chosen:
            rates[p["name"]].append(p["points_per_second"])
            loads[p["name"]].append(p["cpu_percent"])
        course = {p["name"]: (list(rates[p["name"]]), list(loads[p["name"]])) for p in chosen}
        clear = CLEAR if sys.stdout.isatty() else ""
        typer.echo(clear + _screen(options, document, chosen, lang, wide=wide, course=course))
        time.sleep(WATCH_EVERY_S)
