"""What is decided: a plan and its steps."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from collectors.contract import Kind
from reconciler.model.observed import Instance
from reconciler.model.wanted import Manifest, StopPolicy


class Action(StrEnum):
    """What a step does; NONE does nothing and says why."""

    NONE = "none"
    START = "start"
    STOP = "stop"
    KILL = "kill"
    UPDATE = "update"


@dataclass(frozen=True, slots=True)
class Change:
    """One field that differs; values as written, secrets and `env` shown only as changed."""

    field: str
    before: Any
    after: Any
    effect: Literal["live", "restart"]


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one name, and why.

    `verdict` is the word shown to people: start, restart, stop, kill, update, keep, wait, hold, paused, draining,
    blocked or stopped. A restart is the action STOP now and START in a later pass. `manifest` is what a START
    starts: the wanted one, or of a removed name the one it last ran with. `until` is the monotonic time at which
    this name wants another look.
    """

    name: str
    kind: Kind
    action: Action
    verdict: str
    reason: str
    message: str
    manifest: Manifest | None = None
    instances: tuple[Instance, ...] = ()
    until: float | None = None
    changes: tuple[Change, ...] = ()

    @property
    def digest(self) -> str | None:
        """The digest of its manifest, where one is known."""
        return self.manifest.digest if self.manifest else None

    @property
    def stop(self) -> StopPolicy:
        """How its instances are asked to stop."""
        return self.manifest.stop if self.manifest else StopPolicy()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why stops of names whose manifests vanished are not carried out, and which names."""

    reason: str
    message: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rest:
    """A step that does nothing, what it was decided from, and until when (monotonic) time alone does not change it."""

    step: Step
    facts: tuple[object, ...]
    until: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pass does, step by step in name order; printed by `diff`, performed by `apply` and `run`.

    `rests` are by name, so that the next plan need not decide them again; `given` is what all of it was decided from,
    by name, and `shared` for all.
    """

    steps: tuple[Step, ...]
    refusal: Refusal | None = None
    rests: Mapping[str, Rest] = field(default_factory=dict, compare=False, repr=False)
    given: tuple[Mapping[str, object], ...] = field(default=(), compare=False, repr=False)
    shared: tuple[object, ...] = field(default=(), compare=False, repr=False)

    @property
    def acting(self) -> tuple[Step, ...]:
        """The steps that change something now."""
        return tuple(s for s in self.steps if s.action is not Action.NONE)

    @property
    def look_at(self) -> float | None:
        """Monotonic time of the earliest step that waits for something."""
        return min((s.until for s in self.steps if s.until is not None), default=None)

    @property
    def id(self) -> str:
        """Names this plan: equal for equal actions on equal digests."""
        text = "\n".join(f"{s.action} {s.name} {s.digest} {s.reason}" for s in self.acting)
        return hashlib.sha256(text.encode()).hexdigest()[:12]
