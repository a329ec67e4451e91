"""Two sets of manifests side by side, with no host: what would come, go and change. Pure."""

from __future__ import annotations

from reconciler.changes import changes, live_file
from reconciler.model import Action, Applied, Change, Desired, Manifest, Plan, SpecFile, Step


def compare(before: Desired, after: Desired) -> Plan:
    """One step for each name that either set declares, as if all of `before` ran as declared."""
    names = sorted(before.manifests.keys() | after.manifests.keys())
    return Plan(tuple(_step(name, before, after) for name in names))


def _step(name: str, before: Desired, after: Desired) -> Step:
    old, new = before.manifests.get(name), after.manifests.get(name)
    found = _changes(before, old, after, new) if old and new else ()
    match old, new:
        case None, Manifest(running=True):
            decided = Action.START, "start", "Missing", "its manifest is new"
        case Manifest(running=False), Manifest(running=True):
            decided = Action.START, "start", "Missing", "its manifest no longer says state: stopped"
        case Manifest(running=True), None:
            decided = Action.STOP, "stop", "Removed", "its manifest is gone"
        case Manifest(running=True), Manifest(running=False):
            decided = Action.STOP, "stop", "Stopped", "its manifest says state: stopped"
        case Manifest(running=True, digest=ran), Manifest(digest=wanted) if ran != wanted:
            decided = Action.STOP, "restart", "DigestChanged", "its manifest changed"
        case Manifest(running=True), Manifest() if found:
            decided = Action.UPDATE, "update", "LiveFieldsChanged", "its process takes it over while it runs"
        case Manifest(running=True), _:
            decided = Action.NONE, "keep", "Unchanged", "nothing changes"
        case _:
            decided = Action.NONE, "stopped", "Stopped", "it runs in neither"
    manifest = new or old
    assert manifest is not None
    return Step(name, manifest.kind, *decided, manifest, changes=found)


def _changes(before: Desired, old: Manifest, after: Desired, new: Manifest) -> tuple[Change, ...]:
    ran = Applied(SpecFile(old.kind, old.name, old.digest, old.given), live_file(before, old))
    return changes(ran, new, live_file(after, new))
