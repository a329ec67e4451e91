"""Which documents of the whole set come into force, and what stays in place of a broken one. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.desired.document import Candidate, ManifestFile
from reconciler.desired.sentences import nearest
from reconciler.manifest import local_sink
from reconciler.model import LOCAL_SINK, Manifest, ManifestError

Files = Mapping[str, ManifestFile | None]
"""What each path says now; None where its last good version is not to be touched."""
Good = Mapping[str, Mapping[str, Manifest]]
"""By path and name, what was in force."""


@dataclass(slots=True)
class Admission:
    """What is in force by path and name, broken names, errors by path, and names not found now."""

    good: dict[str, dict[str, Manifest]] = field(default_factory=lambda: defaultdict(dict))
    broken: dict[str, ManifestError] = field(default_factory=dict)
    errors: dict[str, list[ManifestError]] = field(default_factory=lambda: defaultdict(list))
    vanished: set[str] = field(default_factory=set)

    @property
    def manifests(self) -> dict[str, Manifest]:
        """Everything in force by name, the embedded sink included."""
        found = {LOCAL_SINK: local_sink()}
        for names in self.good.values():
            found |= names
        return found


def admit(files: Files, good: Good) -> Admission:
    """Judge the set as a whole: names are unique, sinks exist, and nothing in force is lost to an error.

    A file with an error loses no name, since a name that it seems to lack may be in the broken part.
    """
    result = Admission()
    claims = _claims(files, good)
    for path, file in files.items():
        before = good.get(path, {})
        if file is None:
            result.good[path] |= before
            continue
        if error := file.error or _emptied(path, file, before):
            _keep(result, path, before, error)
            result.errors[path].append(error)
            continue
        for candidate in file.candidates:
            _judge(result, path, candidate, claims, before)
        if result.errors[path]:
            left = {n: m for n, m in before.items() if n not in result.good[path]}
            _keep(result, path, left, result.errors[path][0])
    _check_sinks(result, files, good)
    in_force = result.manifests
    for path, before in good.items():
        for name, manifest in before.items():
            if name not in in_force:
                result.vanished.add(name)
                result.good[path][name] = manifest
    return result


def _claims(files: Files, good: Good) -> dict[str, list[tuple[str, int]]]:
    """Who has a right to a name: valid documents, and what is in force but not valid now (path, line)."""
    claims: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for path, file in files.items():
        valid = [c for c in file.candidates if c.manifest] if file else []
        for candidate in valid:
            claims[str(candidate.name)].append((path, candidate.line))
        faulty = file is None or file.error or len(valid) < len(file.candidates) or not file.candidates
        for name, manifest in good.get(path, {}).items() if faulty else ():
            if name not in {c.name for c in valid}:
                claims[name].append((path, manifest.line))
    return claims


def _emptied(path: str, file: ManifestFile, before: Mapping[str, Manifest]) -> ManifestError | None:
    if file.candidates or not before:
        return None
    names = ", ".join(sorted(before))
    return ManifestError(path, 1, 1, "file", f"the file is empty; to remove {names}, remove the file")


def _judge(
    result: Admission,
    path: str,
    candidate: Candidate,
    claims: Mapping[str, list[tuple[str, int]]],
    before: Mapping[str, Manifest],
) -> None:
    errors = list(candidate.errors)
    name = candidate.name
    if candidate.manifest and name is not None:
        others = [f"{p}:{line}" for p, line in claims[name] if (p, line) != (path, candidate.line)]
        if not others:
            result.good[path][name] = candidate.manifest
            return
        message = f"the name {name} is used twice, here and in {', '.join(others)}; rename one"
        errors.append(ManifestError(path, candidate.line, 1, "metadata.name", message))
    result.errors[path] += errors
    if name is not None and name in before:
        _keep(result, path, {name: before[name]}, errors[0])
    elif name is not None:
        result.broken.setdefault(name, errors[0])


def _keep(result: Admission, path: str, manifests: Mapping[str, Manifest], error: ManifestError) -> None:
    for name, manifest in manifests.items():
        result.good[path][name] = manifest
        result.broken[name] = error


def _check_sinks(result: Admission, files: Files, good: Good) -> None:
    sinks = {name for name, m in result.manifests.items() if m.kind == "Sink"}
    for path, file in files.items():
        for candidate in file.candidates if file else ():
            name = candidate.name
            if name is None or result.good[path].get(name) is not candidate.manifest:
                continue
            for sink, place in candidate.sinks.items():
                if sink in sinks:
                    continue
                message = f"there is no Sink named {sink}{nearest(sink, sorted(sinks))}"
                error = ManifestError(path, place.line, place.column, "spec.sinks", message)
                result.errors[path].append(error)
                result.broken[name] = error
                if (before := good.get(path, {}).get(name)) is not None:
                    result.good[path][name] = before
                else:
                    result.good[path].pop(name, None)
