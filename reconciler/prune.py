"""The prune guard: manifests that vanish in number are more often a mistake than a wish.

Stops of running collectors whose manifest vanished, or no longer selects this node, are refused where nothing
is wanted on this node any more, or where they are 3 or more and more than half of what ran. Removals
of the last 10 min count together. ``state: stopped`` is a wish and never counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model import Desired, History, Node, Observed, Refusal

MANY = 3
TOGETHER_S = 600.0
ANNOTATION = "daq/prune"


def guard(
    desired: Desired,
    observed: Observed,
    history: Mapping[str, History],
    now: float,
    node: Node,
    *,
    force: bool,
) -> Refusal | None:
    """Which stops are refused, and why; None where all may go. `force` passes all but unread manifests."""
    wanted = {
        name
        for name, m in desired.manifests.items()
        if m.kind == "Collector" and all(node.labels.get(k) == v for k, v in m.node_selector.items())
    }
    explicit = {name for name, m in desired.manifests.items() if not m.running}
    running = {
        name for name, found in observed.instances.items() if found and _is_collector(name, desired, observed)
    }
    recent = {
        name
        for name, past in history.items()
        if past.removed_at is not None and now - past.removed_at < TOGETHER_S and name not in wanted
    }
    stops = {
        name
        for name in running - wanted - explicit
        if any(i.stopping is None for i in observed.instances[name])
    }
    if not stops:
        return None
    names = tuple(sorted(stops))
    if desired.unread is not None:
        return Refusal(
            "ManifestsUnread", f"cannot read the manifests ({desired.unread}); nothing is stopped", names
        )
    if force:
        return None
    gone, ran = stops | recent, running | recent
    if not wanted:
        message = "no collector is wanted on this node any more; `daq apply --force` stops what runs"
        return Refusal("NothingWanted", message, names)
    if len(gone) >= MANY and 2 * len(gone) > len(ran):
        message = f"{len(gone)} of {len(ran)} collectors lost their manifest; `daq apply --force` stops them"
        return Refusal("TooManyRemoved", message, names)
    protected = tuple(name for name in names if _protected(name, desired, observed))
    if protected:
        message = f"annotation {ANNOTATION}: disabled protects it; `daq apply --force` stops it"
        return Refusal(
            "Protected",
            f"annotation {ANNOTATION}: disabled protects it; `daq apply --force` stops it",
            protected,
        )
    return None


def _is_collector(name: str, desired: Desired, observed: Observed) -> bool:
    if name in desired.manifests:
        return desired.manifests[name].kind == "Collector"
    return name not in observed.applied or observed.applied[name].spec.kind == "Collector"


def _protected(name: str, desired: Desired, observed: Observed) -> bool:
    if name in desired.manifests:
        annotations = desired.manifests[name].annotations
    else:
        applied = observed.applied.get(name)
        annotations = applied.live.metadata.get("annotations", {}) if applied else {}
    return annotations.get(ANNOTATION) == "disabled"
