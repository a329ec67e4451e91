"""The event loop of `daq run`: what wakes a pass, what asks for one, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from collectors.contract import StateDir, monotonic
from reconciler import __version__
from reconciler.gitsource.remote import Remote
from reconciler.loop.control import listen
from reconciler.loop.doorbell import Doorbell
from reconciler.loop.notify import ServiceManager
from reconciler.loop.orders import carry_out, restarted
from reconciler.loop.outcome import headline
from reconciler.loop.reconcile import Reconciler
from reconciler.loop.watch import watch
from reconciler.model import Node
from reconciler.news import News, loop_started
from reconciler.server.address import Address
from reconciler.server.listener import Server

EXIT_ASKED = 0
EXIT_DOWN = 3
"""Ended by `daq down`; the service manager must not start the loop again."""

LOOK_EVERY_S = 5.0
FAILED_PASS_S = 1.0
APPLY_HAS_LOCK_S = 60.0
ANSWER_S = 5.0
"""An order is answered after the next pass, at the latest after this."""

logger = logging.getLogger("daq.loop")


async def run_loop(
    state: StateDir,
    manifests: Path | Remote,
    node: Node,
    address: Address | None,
    *,
    stop_on_exit: bool,
    say: Callable[[str], None],
) -> int:
    """Run until SIGTERM, SIGINT or `daq down`; returns the exit code. Raises StateDirError or OSError at the start."""
    with Reconciler.owning(state, manifests, node, wait_s=APPLY_HAS_LOCK_S) as reconciler:
        server = Server(reconciler.publisher, address) if address else None
        try:
            return await Loop(reconciler, server, say).run(stop_on_exit=stop_on_exit)
        finally:
            if server:
                server.close()


class Loop:
    """Passes of a reconciler, woken by changes, exits, signals, requests and the clock."""

    def __init__(self, reconciler: Reconciler, server: Server | None, say: Callable[[str], None]) -> None:
        self._reconciler = reconciler
        self._server = server
        self._say = say
        self._wake = asyncio.Event()
        self._whole, self._whole_at = True, 0.0
        self._passed = asyncio.Condition()
        self._exit_code: int | None = None
        self._stopping_all = False
        self._manager = ServiceManager()

    async def run(self, *, stop_on_exit: bool) -> int:
        """Pass after pass until asked to end; returns the exit code."""
        reconciler, events = self._reconciler, asyncio.get_running_loop()
        for sig in (signal.SIGTERM, signal.SIGINT):
            events.add_signal_handler(sig, self._end, EXIT_ASKED, stop_on_exit)
        events.add_signal_handler(signal.SIGHUP, self._hang_up)
        events.add_reader(reconciler.processes.fileno(), self._wake.set)
        edits = events.create_task(watch(reconciler.reader.watched, self._look_whole))
        doorbell = Doorbell(reconciler.state, self._read_reports)
        control = await listen(reconciler.state, self._answer)
        if self._server:
            self._server.start()
        before = reconciler.events.newest("LoopStarted", "LoopEnded")
        reconciler.tell(loop_started(__version__, os.getpid(), before))
        try:
            await self._pass_until_the_end()
        finally:
            control.close()
            doorbell.close()
            edits.cancel()
            events.remove_reader(reconciler.processes.fileno())
        self._take_leave()
        assert self._exit_code is not None
        return self._exit_code

    async def _pass_until_the_end(self) -> None:
        reconciler = self._reconciler
        greeted = False
        while self._exit_code is None or (self._stopping_all and reconciler.running):
            self._wake.clear()
            began = monotonic()
            try:
                if self._stopping_all:
                    reconciler.stop_pass()
                else:
                    reconciler.processes.keep_warm()
                    whole, self._whole = self._whole or began >= self._whole_at, False
                    if whole:
                        self._whole_at = began + LOOK_EVERY_S
                    reconciler.pass_once(quick=not whole)
            except OSError as error:  # no descriptors, no disk …: collectors run on, and so does the loop
                logger.error("cannot finish this pass, trying again: %s", error)
                self._whole = True
                await asyncio.sleep(FAILED_PASS_S)
                continue
            if self._server:
                self._server.passed(monotonic() - began)
            if not greeted:
                greeted = True
                self._greet()
                self._manager.ready()
            self._manager.alive(headline(reconciler.document, len(reconciler.running)))
            async with self._passed:
                self._passed.notify_all()
            await self._sleep()

    async def _sleep(self) -> None:
        look_at = self._reconciler.look_at
        pause = (self._whole_at if look_at is None else min(self._whole_at, look_at)) - monotonic()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, pause)):
                await self._wake.wait()

    def _end(self, code: int, stop_all: bool) -> None:
        self._manager.stopping()
        if self._server:
            self._server.announce_stop()
        self._exit_code = code
        self._stopping_all = self._stopping_all or stop_all
        if self._stopping_all:
            self._say("stopping all collectors and senders")
        self._look_whole()

    def _look_whole(self) -> None:
        """Have the next pass soon, and look at everything; without this one that a death or a report wakes is quick."""
        self._whole = True
        self._wake.set()

    def _read_reports(self, names: Collection[str]) -> None:
        if self._reconciler.has_news(names):
            self._wake.set()

    def _hang_up(self) -> None:
        logger.info("hang-up: looking now")
        self._look_whole()

    async def _answer(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        match request:
            case {
                "op": "apply",
                "force": bool(force),
                "plan": str() | None as plan,
                "timeout_s": float(timeout_s),
            }:
                return await self._apply(force, plan, timeout_s)
            case {"op": "down", "timeout_s": float(timeout_s)}:
                return await self._down(timeout_s)
            case {"op": "look", "timeout_s": float(timeout_s)}:
                return await self._look(timeout_s)
            case {"op": "status"}:
                return self._reconciler.document
        return await self._carry_out(request)

    async def _carry_out(self, order: Mapping[str, Any]) -> Mapping[str, Any]:
        """Answer an order when a pass has acted on it, a restart when all run again or time is out."""
        try:
            reply = carry_out(self._reconciler, order)
        except OSError as error:
            return {"refused": f"cannot keep the order: {error}"}
        if "refused" in reply:
            return reply
        names = reply["names"] if order["op"] == "restart" else ()
        await self._until(
            lambda: restarted(self._reconciler, names),
            float(order.get("timeout_s", ANSWER_S)),
            at_least_one_pass=True,
        )
        return {**reply, "done": restarted(self._reconciler, names)}

    async def _look(self, timeout_s: float) -> Mapping[str, Any]:
        """Answer when manifests are read as they are now, nothing half-written."""
        await self._until(lambda: self._reconciler.seen, timeout_s, at_least_one_pass=True)
        return {"seen": self._reconciler.seen}

    async def _apply(self, force: bool, plan: str | None, timeout_s: float) -> Mapping[str, Any]:
        """Look now; answer when converged, refused or out of time."""
        reconciler = self._reconciler
        reconciler.begin(force=force, plan_id=plan)
        await self._until(lambda: reconciler.settled, timeout_s, at_least_one_pass=True)
        return reconciler.outcome()

    async def _down(self, timeout_s: float) -> Mapping[str, Any]:
        """Stop everything, answer with what stopped, then end."""
        names = self._reconciler.running
        self._stopping_all = True
        await self._until(lambda: not self._reconciler.running, timeout_s, at_least_one_pass=True)
        left = self._reconciler.running
        self._end(EXIT_DOWN, stop_all=False)
        self._stopping_all = False
        return {"stopped": sorted(names - left), "left": sorted(left)}

    async def _until(
        self, condition: Callable[[], bool], timeout_s: float, *, at_least_one_pass: bool
    ) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s), self._passed:
                self._look_whole()
                if at_least_one_pass:
                    await self._passed.wait()
                await self._passed.wait_for(condition)

    def _greet(self) -> None:
        state = self._reconciler.state
        if self._server:
            self._say(f"page      {self._server.url}/")
            self._say(f"endpoint  {self._server.url}/api/processes")
        self._say(f"data      {state.database}")
        self._say(f"logs      {state.root / 'logs'}")
        self._say("first pass done; `daq status` says more")

    def _take_leave(self) -> None:
        running = self._reconciler.running
        left = f"{len(running)} keep running without the loop" if running else "nothing is left running"
        self._reconciler.events.append([News("LoopEnded", left)], time.time())
        self._say(f"{left}: {', '.join(sorted(running))}; to stop them: daq down" if running else left)
