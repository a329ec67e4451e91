"""The prune guard: manifests that vanish in number are more often a mistake than a wish.

Stops of running collectors whose manifest vanished, or no longer selects this node, are refused where nothing
is wanted on this node any more, or where they are 3 or more and more than half of what ran. Removals
of the last 10 min count together. ``state: stopped`` is a wish and never counts. Sinks stay while
somebody writes to them; only unread manifests protect them here.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from reconciler.case import selects
from reconciler.model import Desired, History, Manifest, Node, Observed, Refusal

MANY = 3
TOGETHER_S = 600.0
ANNOTATION = "daq/prune"


def guard(
    desired: Desired,
    observed: Observed,
    history: Mapping[str, History],
    *,
    known: Mapping[str, Manifest],
    running: AbstractSet[str],
    now: float,
    node: Node,
    force: bool,
) -> Refusal | None:
    """Which stops are refused, and why; None where all may go. `force` passes all but unread manifests.

    `running` are the names that are alive or due to be restarted, `known` their manifests, of removed ones the
    last.
    """
    leaving = {
        name for name in running if _is_left(desired.manifests.get(name), node) and not _asked(name, observed)
    }
    if desired.unread is not None:
        message = f"cannot read the manifests ({desired.unread}); nothing is stopped"
        return _refusal("ManifestsUnread", message, leaving)
    sinks = {name for name, m in known.items() if m.kind == "Sink"}
    stops, ran = leaving - sinks, running - sinks
    if force or not stops:
        return None
    selected = {name for name, m in desired.manifests.items() if selects(m, node)}
    recent = {
        name
        for name, past in history.items()
        if past.removed_at is not None and now - past.removed_at < TOGETHER_S and name not in selected
    }
    if not selected - sinks:
        message = "no collector is wanted on this node any more; `daq apply --force` stops what runs"
        return _refusal("NothingWanted", message, stops)
    gone = len(stops | recent)
    if gone >= MANY and 2 * gone > len(ran | recent):
        message = (
            f"{gone} of {len(ran | recent)} collectors lost their manifest; `daq apply --force` stops them"
        )
        return _refusal("TooManyRemoved", message, stops)
    protected = {n for n in stops if n in known and known[n].annotations.get(ANNOTATION) == "disabled"}
    message = f"annotation {ANNOTATION}: disabled protects it; `daq apply --force` stops it"
    return _refusal("Protected", message, protected)


def _is_left(manifest: Manifest | None, node: Node) -> bool:
    """Whether nobody wished it: neither that it runs here, nor that it is stopped."""
    return manifest is None or (manifest.running and not selects(manifest, node))


def _asked(name: str, observed: Observed) -> bool:
    """Whether all that is alive of it was asked to stop."""
    found = observed.instances.get(name, ())
    return bool(found) and all(i.stopping for i in found)


def _refusal(reason: str, message: str, names: AbstractSet[str]) -> Refusal | None:
    return Refusal(reason, message, tuple(sorted(names))) if names else None
