"""The plan that an ``apply --plan`` was given: passes act on that one, or on none."""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.loop.outcome import Look, moved


@dataclass(slots=True)
class Expectation:
    """`plan_id` is None once it was met or has moved, or where anything may be done; `moved` then says how it moved."""

    plan_id: str | None = None
    moved: tuple[str, ...] = ()

    def allows(self, look: Look) -> bool:
        """Whether a pass may act on this look: not before its manifests have settled, not where the plan is another."""
        if self.plan_id is None:
            return True
        if look.desired.look_at is not None:
            return False
        expected, self.plan_id = self.plan_id, None
        if look.plan.id == expected:
            return True
        self.moved = moved(expected, look.plan)
        return False
