"""One file of manifests: its documents, each a manifest or what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from collectors.contract import Kind, check_spec
from reconciler.desired.pointtable import Row, TableError, parse_table
from reconciler.desired.sentences import KINDS, Steps, nearest, schema_problems
from reconciler.desired.tree import Signature, Tree
from reconciler.desired.yamltext import Document, Place, YamlError, parse_documents
from reconciler.digest import digest, normal
from reconciler.manifest import manifest_of
from reconciler.model import LOCAL_SINK, Manifest, ManifestError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document: the manifest, or else the errors. `name` is None where the document does not say it.

    `sinks` are the places of the sinks it names, which only the whole set can judge.
    """

    name: str | None
    line: int
    manifest: Manifest | None
    errors: tuple[ManifestError, ...] = ()
    sinks: Mapping[str, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """What a file says.

    `error`: the file as a whole cannot be read. `depends`: the other files it was read with. `unterminated`:
    it or a point table has no final newline, so it may be half-written.
    """

    candidates: tuple[Candidate, ...] = ()
    error: ManifestError | None = None
    depends: Mapping[Path, Signature | None] = field(default_factory=dict)
    unterminated: bool = False


def parse_file(tree: Tree, path: str, data: bytes) -> ManifestFile:
    """The manifests in the text of a file at `path`, with the point tables and config files they name."""
    unterminated = _unterminated(data)
    try:
        documents = parse_documents(data)
    except YamlError as error:
        wrong = ManifestError(path, error.line, error.column, "yaml", error.message)
        return ManifestFile(error=wrong, unterminated=unterminated)
    readings = [_Reading(tree, path, document) for document in documents]
    candidates = tuple(reading.candidate() for reading in readings)
    depends = {file: signature for r in readings for file, signature in r.depends.items()}
    unterminated |= any(r.unterminated for r in readings)
    return ManifestFile(candidates, None, depends, unterminated)


def _unterminated(data: bytes) -> bool:
    return bool(data) and not data.endswith(b"\n")


class _Reading:
    """One document on its way to a manifest; `errors` gathers what is wrong."""

    def __init__(self, tree: Tree, path: str, document: Document) -> None:
        self.tree = tree
        self.path = path
        self.value = document.value
        self.place = document.place
        self.depends: dict[Path, Signature | None] = {}
        self.unterminated = False
        self.errors: list[ManifestError] = []

    def candidate(self) -> Candidate:
        metadata = self.value.get("metadata") if isinstance(self.value, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        manifest = self.manifest()
        sinks = {}
        if manifest and manifest.kind == "Collector":
            for i, sink in enumerate(manifest.spec.get("sinks", ())):
                sinks[sink] = self.place.find(("spec", "sinks", i))
        return Candidate(
            name if isinstance(name, str) else None,
            self.place.line,
            None if self.errors else manifest,
            tuple(sorted(set(self.errors))),
            sinks,
        )

    def manifest(self) -> Manifest | None:
        if not isinstance(self.value, dict):
            self.wrong((), "a manifest has the keys apiVersion, kind, metadata and spec")
            return None
        written = self.value.get("kind")
        for kind in KINDS:
            if kind == written:
                return self.of_kind(kind)
        wrong = f"the kind {written} is not known" if written is not None else "kind is missing"
        self.wrong(("kind",), wrong + nearest(str(written), list(KINDS)))
        return None

    def of_kind(self, kind: Kind) -> Manifest | None:
        spec = self.value.get("spec")
        if isinstance(spec, dict) and isinstance(spec.get("tagsFrom"), list):
            self.merge_tables(spec)
        if self.errors:
            return None
        for steps, is_key, message in schema_problems(kind, self.value):
            self.wrong(steps, message, key=is_key)
        if self.errors:
            return None
        metadata, name = self.value["metadata"], self.value["metadata"]["name"]
        spec = {k: v for k, v in normal(self.value["spec"]).items() if k != "tagsFrom"}
        self.check_name(kind, name)
        for problem in check_spec(kind, name, spec):
            self.wrong(("spec", *problem.path), problem.message)
        configs = self.config_digests(spec)
        if self.errors:
            return None
        return manifest_of(
            kind, self.path, self.place.line, metadata, spec, digest_of=digest(kind, name, spec, configs)
        )

    def check_name(self, kind: Kind, name: str) -> None:
        if name == LOCAL_SINK:
            self.wrong(
                ("metadata", "name"),
                "local is the embedded database, which needs no manifest; use another name",
            )
        if name == "default" and kind != "Sink":
            self.wrong(
                ("metadata", "name"), "default is kept for the Sink that collectors use unless they name one"
            )

    def config_digests(self, spec: Mapping[str, Any]) -> dict[str, str]:
        found = {}
        for i, written in enumerate(spec.get("configFiles", ())):
            file = self.tree.config(written)
            try:
                self.depends[file] = self.tree.signature(file)
                found[written] = self.tree.sha256(file)
            except OSError as error:
                self.depends[file] = None
                self.wrong(("spec", "configFiles", i), f"cannot read {written}: {error.strerror}")
        return found

    def merge_tables(self, spec: dict[str, Any]) -> None:
        """Add the rows of the point tables to `tags`, and their places to the places of the document."""
        rows: list[Row] = []
        for i, written in enumerate(spec["tagsFrom"]):
            if isinstance(written, str):
                rows += self.table(i, written)
        own = spec.get("tags", [])
        children = self.place.find(("spec",)).children
        if not rows or not isinstance(own, list) or not isinstance(children, dict):
            return
        spec["tags"] = [*own, *(row.tag for row in rows)]
        at = children["tags" if "tags" in children else "tagsFrom"]
        places = at.children if own and isinstance(at.children, list) else []
        children["tags"] = Place(at.line, at.column, [*places, *(row.place for row in rows)])

    def table(self, index: int, written: str) -> list[Row]:
        steps: Steps = ("spec", "tagsFrom", index)
        path = normpath(PurePosixPath(self.path).parent / written)
        if path.startswith(("../", "/")):
            self.wrong(steps, f"cannot read {written}: it lies outside {self.tree.name}/")
            return []
        file = self.tree.table(path)
        try:
            self.depends[file] = self.tree.signature(file)
            data = self.tree.read(path)
        except OSError as error:
            self.depends.setdefault(file, None)
            self.wrong(steps, f"cannot read {written}: {error.strerror or error}")
            return []
        self.unterminated |= _unterminated(data)
        try:
            return parse_table(data, path)
        except TableError as error:
            self.errors.append(ManifestError(path, error.line, error.column, written, error.message))
            return []

    def wrong(self, steps: Steps, message: str, *, key: bool = False) -> None:
        place = self.place.find(steps, key=key)
        steps = steps[3:] if place.file else steps  # in a table the row says which tag it is
        where = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps).lstrip(".")
        top = "tag" if place.file else "document"
        self.errors.append(
            ManifestError(place.file or self.path, place.line, place.column, where or top, message)
        )
