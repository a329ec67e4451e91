"""Passes without a loop: what `daq apply` and `daq down` do themselves where no `daq run` listens."""

from __future__ import annotations

import select
from collections.abc import Callable, Mapping
from typing import Any

from collectors.contract import monotonic
from reconciler.loop.reconcile import Reconciler


def apply(reconciler: Reconciler, *, force: bool, plan_id: str | None, timeout_s: float) -> Mapping[str, Any]:
    """Passes until settled or out of time; returns :meth:`Reconciler.outcome`."""

    def make_pass() -> None:
        reconciler.processes.keep_warm()
        reconciler.pass_once()

    reconciler.begin(force=force, plan_id=plan_id)
    _pass_until(reconciler, lambda: reconciler.settled, make_pass, timeout_s)
    return reconciler.outcome()


def stop_all(reconciler: Reconciler, *, timeout_s: float) -> Mapping[str, Any]:
    """Passes until nothing of the state directory runs or time is out: names that ``stopped``, names ``left``."""
    reconciler.stop_pass()
    names = reconciler.running
    _pass_until(reconciler, lambda: not reconciler.running, reconciler.stop_pass, timeout_s)
    return {"stopped": sorted(names - reconciler.running), "left": sorted(reconciler.running)}


def _pass_until(
    reconciler: Reconciler, condition: Callable[[], bool], make_pass: Callable[[], None], timeout_s: float
) -> None:
    """The first pass is made at once, the next ones when a process dies or the last one asked for it."""
    end = monotonic() + timeout_s
    with select.epoll() as deaths:
        deaths.register(reconciler.processes.fileno(), select.EPOLLIN)
        make_pass()
        while not condition() and (now := monotonic()) < end:
            deaths.poll(max(0.0, min(end, reconciler.look_at or end) - now))
            make_pass()
