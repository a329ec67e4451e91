"""A stored field never changes its type: which manifests would change one. Pure.

InfluxDB refuses a point whose field has another type than the one it was stored with, so a manifest that says so must
not come into force. What is stored is known from what runs, or ran last; where it is silent, the manifests of one
measurement and sink must agree with each other, and the first of them by name has the word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from collectors.contract import field_types
from reconciler.changes import live_file
from reconciler.manifest import last_good
from reconciler.model import Applied, Desired, Manifest, ManifestError, SpecFile


@dataclass(slots=True)
class Known:
    """What need not be worked out twice: types of fields by name and digest of a collector, and the last manifests that
    agreed with what was applied.
    """

    types: dict[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    agreed: tuple[Mapping[str, Manifest], Mapping[str, Applied]] | None = None


class Column(NamedTuple):
    """One field as a sink stores it."""

    sink: str
    measurement: str
    field: str


def lock_types(desired: Desired, applied: Mapping[str, Applied], known: Known) -> Desired:
    """The same, but a collector that would store a field as another type stays as it ran, and is broken.

    One that never ran stands in ``broken`` only.
    """
    if known.agreed and known.agreed[0] is desired.manifests and known.agreed[1] == applied:
        return desired
    stored: dict[Column, tuple[str, str]] = {}
    watched = _watched(desired, applied)
    for name in sorted(watched & applied.keys()):
        was = applied[name]
        for column, kind in _columns(was.spec, was.live.sinks, known):
            stored.setdefault(column, (kind, name))
    errors: dict[str, ManifestError] = {}
    for name in sorted(watched & desired.manifests.keys()):
        manifest = desired.manifests[name]
        columns = list(_columns(_spec(manifest), desired.sinks_of(manifest), known))
        wrong = next(((c, kind) for c, kind in columns if stored.get(c, (kind,))[0] != kind), None)
        if wrong:
            errors[name] = _error(manifest, *wrong, *stored[wrong[0]])
            continue
        for column, kind in columns:
            stored.setdefault(column, (kind, name))
    if errors:
        return _without(desired, applied, errors)
    known.agreed = desired.manifests, applied
    return desired


def as_applied(desired: Desired) -> dict[str, Applied]:
    """As if all of it ran."""
    return {n: Applied(_spec(m), live_file(desired, m)) for n, m in desired.manifests.items()}


def _watched(desired: Desired, applied: Mapping[str, Applied]) -> set[str]:
    """Collectors that have changed, and those that share their measurement: all others are as they were."""
    specs = {n: _spec(m) for n, m in desired.manifests.items() if m.kind == "Collector" and m.type != "exec"}
    olds = {
        n: a.spec for n, a in applied.items() if a.spec.kind == "Collector" and a.spec.spec["type"] != "exec"
    }
    users = Counter({(_measurement(s), n) for n, s in (*specs.items(), *olds.items())})
    shared = Counter(measurement for measurement, _ in users)
    changed = {n for n in specs if n in olds and olds[n].digest != specs[n].digest}
    groups = {_measurement(s) for n in changed for s in (specs[n], olds[n])}
    groups |= {measurement for measurement, count in shared.items() if count > 1}
    return {n for n, s in (*specs.items(), *olds.items()) if _measurement(s) in groups}


def _columns(spec: SpecFile, sinks: tuple[str, ...], known: Known) -> Iterator[tuple[Column, str]]:
    key = spec.name, spec.digest
    if key not in known.types:
        try:
            known.types[key] = field_types(spec.name, spec.spec)
        except (ValueError, LookupError):
            known.types[key] = {}  # of a version that knew another protocol
    for sink in sinks:
        for name, kind in known.types[key].items():
            yield Column(sink, _measurement(spec), name), kind


def _error(manifest: Manifest, column: Column, kind: str, stored: str, owner: str) -> ManifestError:
    said = "as it runs" if owner == manifest.name else f"by {owner}"
    message = (
        f"{column.field} is stored as {stored} in measurement {column.measurement} of sink {column.sink} ({said}),"
        f" and a stored field never changes its type, to {kind} here; give the tag a new name or the collector"
        " another measurement"
    )
    return ManifestError(manifest.path, manifest.line, 1, f"spec.tags: {column.field}", message)


def _without(
    desired: Desired, applied: Mapping[str, Applied], errors: Mapping[str, ManifestError]
) -> Desired:
    manifests = dict(desired.manifests)
    for name in errors:
        if name in applied:
            manifests[name] = replace(
                last_good(applied[name]), path=manifests[name].path, line=manifests[name].line
            )
        else:
            del manifests[name]
    found = tuple(sorted((*desired.errors, *errors.values())))
    source = replace(desired.source, error=desired.source.error or str(found[0]))
    return replace(
        desired, manifests=manifests, broken={**desired.broken, **errors}, errors=found, source=source
    )


def _spec(manifest: Manifest) -> SpecFile:
    return SpecFile(manifest.kind, manifest.name, manifest.digest, manifest.given)


def _measurement(spec: SpecFile) -> str:
    measurement: Any = spec.spec.get("measurement", spec.name)
    return str(measurement)
