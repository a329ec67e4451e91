"""How starts ended: each told once, by whoever saw it: us, the kernel, the nursery, or nobody."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping

from collectors.contract import ExitFile, StateDir, read_json
from reconciler.model import Termination
from reconciler.processes import pidfd
from reconciler.processes.environment import secrets
from reconciler.processes.files import ChildFiles
from reconciler.processes.intents import Intent, Intents
from reconciler.processes.members import Boot, Key
from reconciler.processes.runs import Run

logger = logging.getLogger("daq.processes")


class Ends:
    """`accounted` is for each name the instance whose end was told last, by us or by a reconciler before."""

    def __init__(
        self, state: StateDir, intents: Intents, files: ChildFiles, boot: Boot, environ: Mapping[str, str]
    ) -> None:
        self.accounted: dict[str, str] = {}
        self._state = state
        self._intents = intents
        self._files = files
        self._boot = boot
        self._environ = environ

    def of(self, run: Run) -> Termination:
        """Of a run of which nothing lives; it is let go. Raises OSError."""
        exited = pidfd.reap(run.fd, run.leader) if run.fd is not None and run.leader else pidfd.Exit()
        kept = self._kept(run.key.instance) if exited.observed_by == "none" else None
        if kept:
            exited = pidfd.Exit(kept.exit_code, kept.signal, "parent")
        now = time.monotonic()
        ended = run.died or now
        run.close()
        self.accounted[run.key.name] = run.key.instance
        return Termination(
            name=run.key.name,
            instance=run.key.instance,
            digest=run.digest,
            exit_code=exited.code,
            signal=exited.signal,
            observed_by=exited.observed_by,
            at=time.time() - (now - ended),
            ended=ended,
            lived_s=ended - run.started,
            stopped=run.asked,
            tail=self._tail(run.key.name),
        )

    def unseen(self, living: Collection[Key], holders: Collection[str]) -> list[Termination]:
        """Starts of which nothing lives and whose end nobody has told, told now; not those never made, nor of
        names whose lock is held by another.
        """
        ends = [
            self._unseen(name, intent)
            for name, intent in self._intents.by_name.items()
            if self.accounted.get(name) != intent.instance
            and Key(name, intent.instance) not in living
            and name not in holders
            and not self._unborn(name, intent)
        ]
        self.accounted.update((end.name, end.instance) for end in ends)
        return ends

    def prune(self, living: Collection[Key]) -> None:
        """Remove what nurseries kept of ends that were told. What fails is logged."""
        untold = {i.instance for n, i in self._intents.by_name.items() if self.accounted.get(n) != i.instance}
        keep = untold | {key.instance for key in living}
        try:
            for path in (self._state.root / "exits").glob("[!.]*.json"):
                if path.stem not in keep:
                    path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("cannot remove exits that were told: %s", error)

    def _unseen(self, name: str, intent: Intent) -> Termination:
        """As its nursery kept it, else only that it is gone."""
        kept = self._kept(intent.instance)
        same_boot = intent.boot_id == self._boot.boot_id
        return Termination(
            name=name,
            instance=intent.instance,
            digest=intent.digest,
            exit_code=kept.exit_code if kept else None,
            signal=kept.signal if kept else None,
            observed_by="parent" if kept else "none",
            at=kept.at if kept else time.time(),
            ended=kept.monotonic_s if kept and same_boot else time.monotonic(),
            stopped=intent.stopping if same_boot else None,
            tail=self._tail(name),
            earlier_boot=not same_boot and kept is None,
        )

    def _unborn(self, name: str, intent: Intent) -> bool:
        """Whether the reconciler died between intent and fork, as far as is known: no process, output or exit."""
        return (
            intent.leader is None
            and self._files.log_size(name) <= intent.log_from
            and self._kept(intent.instance) is None
        )

    def _kept(self, instance: str) -> ExitFile | None:
        path = self._state.exit(instance)
        try:
            return ExitFile(**read_json(path))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            logger.warning("cannot read %s, passed over: %s", path, error)
            return None

    def _tail(self, name: str) -> str:
        """The last ≤ 1 KiB of what the newest start of `name` wrote, without the values its manifest refers to."""
        intent = self._intents.by_name.get(name)
        text = self._files.tail(name, intent.log_from if intent else 0)
        applied = self._files.applied(name, intent.digest) if intent else None
        for secret in secrets(applied.spec, self._environ) if applied else ():
            text = text.replace(secret, "***")
        return text
