"""One step of a plan, carried out."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import replace

from collectors.contract import LiveFile, SpecFile, monotonic
from reconciler import restarts
from reconciler.changes import live_file
from reconciler.gitsource.source import Reader
from reconciler.loop.records import Records
from reconciler.model import Action, Desired, History, Manifest, Node, Observed, Step
from reconciler.processes import Processes, StartError

logger = logging.getLogger("daq.reconcile")


class Performer:
    """Carries out steps and keeps a line on each in `done`."""

    def __init__(
        self,
        processes: Processes,
        reader: Reader,
        records: Records,
        node: Node,
        share: Callable[[str, Desired], int | None],
    ) -> None:
        self.done: list[str] = []
        self._processes = processes
        self._reader = reader
        self._records = records
        self._node = node
        self._share = share

    def perform(
        self, step: Step, desired: Desired, observed: Observed, history: History, now: float
    ) -> History:
        """Do it; returns what is remembered of the name then. `now` is the monotonic time of the look."""
        logger.info("%s: %s (%s: %s)", step.name, step.verdict, step.reason, step.message)
        self.done.append(f"{step.verdict:<8} {step.name}  {step.message}")
        match step.action:
            case Action.START:
                return self._start(step, desired, observed, history)
            case Action.STOP:
                for instance in step.instances:
                    self._processes.stop(instance, step.stop, step.reason, now)
            case Action.KILL:
                for instance in step.instances:
                    self._processes.kill(instance)
            case Action.UPDATE:
                self._processes.update(step.name, self._live_file(desired, desired.manifests[step.name]))
        return history

    def spec_file(self, manifest: Manifest) -> SpecFile:
        """What a process of that manifest is given."""
        directory = (self._reader.root / manifest.path).parent
        return SpecFile(
            manifest.kind, manifest.name, manifest.digest, manifest.given, self._node.name, str(directory)
        )

    def _start(self, step: Step, desired: Desired, observed: Observed, history: History) -> History:
        manifest = step.manifest
        assert manifest is not None
        now = monotonic()
        spec, live = self._given(manifest, desired, observed)
        fingerprint = self._processes.fingerprint(spec)
        # Remembered before the process exists: whoever finds it knows what it is, and a restart counts once.
        started = restarts.after_start(history, manifest.digest, fingerprint, now)
        self._records.put(step.name, started)
        try:
            self._processes.start(spec, live, base=self._reader.base)
        except StartError as error:
            if error.reason == "LockHeld":
                return history
            logger.error("%s", error)
            self.done.append(f"failed   {manifest.name}  {error}")
            return restarts.after_failed_start(
                history,
                manifest.digest,
                fingerprint,
                error.message,
                manifest.restart,
                now=now,
                wall=time.time(),
                jitter=random.uniform(-1, 1),
                hold=error.reason == "ConfigurationInvalid",
            )
        return started

    def _live_file(self, desired: Desired, manifest: Manifest) -> LiveFile:
        return replace(live_file(desired, manifest), buffer_share=self._share(manifest.name, desired))

    def _given(self, manifest: Manifest, desired: Desired, observed: Observed) -> tuple[SpecFile, LiveFile]:
        if desired.manifests.get(manifest.name) is manifest:
            return self.spec_file(manifest), self._live_file(desired, manifest)
        before = observed.applied[manifest.name]  # removed or paused: as it ran last
        return before.spec, before.live
