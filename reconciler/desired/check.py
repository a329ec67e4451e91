"""Validation of manifests as they stand, without anything remembered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from reconciler.desired.admission import Admission, admit
from reconciler.desired.document import ManifestFile, parse_file
from reconciler.desired.tree import DirectoryTree
from reconciler.fieldtypes import Known, lock_types
from reconciler.model import Desired, Manifest, ManifestError

PORTS = {"modbus": 502, "melsec": 5000}
"""Where nothing is written."""


def check(paths: Sequence[Path], root: Path) -> tuple[dict[str, Manifest], list[ManifestError]]:
    """The manifests in force by name, and the errors in `paths`, whose `path` is as seen from here.

    Without paths, all of `root`. A directory is a set of its own; a file is judged as part of `root` where it
    lies there, else alone. Raises OSError where a path cannot be read.
    """
    manifests: dict[str, Manifest] = {}
    errors: list[ManifestError] = []
    for path in paths or [root]:
        if path.is_dir():
            found, wrong = _check(path, None)
        elif path.resolve().is_relative_to(root.resolve()):
            found, wrong = _check(root, path.resolve().relative_to(root.resolve()).as_posix())
        else:
            found, wrong = _check(path.parent, path.name, alone=True)
        manifests |= found
        errors += wrong
    return manifests, sorted(set(errors))


def check_new(texts: Mapping[str, str], root: Path) -> list[ManifestError]:
    """The errors in manifests by file name that are to be written to `root`, judged as a set of their own."""
    tree = DirectoryTree(root)
    result = admit({name: parse_file(tree, name, text.encode()) for name, text in texts.items()}, {})
    return sorted(error for _, error in _errors(result))


def _check(
    root: Path, only: str | None, *, alone: bool = False
) -> tuple[Mapping[str, Manifest], list[ManifestError]]:
    tree = DirectoryTree(root)
    listing = tree.list()
    files: dict[str, ManifestFile | None] = {
        path: ManifestFile(error=ManifestError(path, 1, 1, "file", why))
        for path, why in listing.refused.items()
    }
    chosen = {only} if only is not None else set()
    for path in chosen if alone else listing.files.keys() | chosen:
        files[path] = parse_file(tree, path, tree.read(path))
    result = admit(files, {})
    errors = [error for path, error in _errors(result) if only in (None, path)]
    return result.manifests, [replace(e, path=str(root / e.path)) for e in errors]


def _errors(result: Admission) -> Iterator[tuple[str, ManifestError]]:
    """With the path of the manifests they concern; a field that two of them store differently is one, too."""
    for path, errors in result.errors.items():
        yield from ((path, error) for error in errors)
    yield from ((error.path, error) for error in lock_types(Desired(result.manifests), {}, Known()).errors)


def shared_addresses(manifests: Mapping[str, Manifest]) -> Iterator[str]:
    """A sentence for each host:port that more than one collector reads: many devices take only one client."""
    readers: dict[str, set[str]] = defaultdict(set)
    for manifest in manifests.values():
        defaults = manifest.spec.get("deviceDefaults", {})
        for device in manifest.spec.get("devices", ()):
            wanted = {"port": PORTS.get(manifest.type), **defaults, **device}
            if "host" in wanted:
                readers[f"{wanted['host']}:{wanted['port']}"].add(manifest.name)
    for address, names in sorted(readers.items()):
        if len(names) > 1:
            yield (
                f"{address} is read by {len(names)} collectors ({', '.join(sorted(names))}), each with a connection of"
                " its own; devices of one collector share one"
            )


def open_passwords(manifests: Mapping[str, Manifest]) -> Iterator[str]:
    """A sentence for each OPC UA server that a user logs in to over a channel without encryption."""
    for manifest in manifests.values():
        if manifest.type != "opcua":
            continue
        defaults = manifest.spec.get("deviceDefaults", {})
        for device in manifest.spec.get("devices", ()):
            wanted = {**defaults, **device}
            if "user" in wanted and wanted.get("security", {}).get("mode") != "SignAndEncrypt":
                yield (
                    f"{manifest.name} sends a password to {wanted.get('url')} over a channel that is not encrypted;"
                    " write security: {policy: Basic256Sha256, mode: SignAndEncrypt}"
                )
