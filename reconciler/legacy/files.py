"""Old files of both kinds together: each process with its configuration, and one Sink a database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from posixpath import basename, dirname, join, normpath, splitext
from typing import Any

from reconciler.legacy.collectors import SECTIONS, collector, section_of
from reconciler.legacy.processes import as_built_in, as_exec, is_old_collector
from reconciler.legacy.text import LegacyError, Manifest, document, name_of


def manifests_of(files: Mapping[str, Any], series: str | None) -> dict[str, str]:
    """Manifests by file name, from the parsed JSON of each path; collectors in the order given, sinks last.

    Raises LegacyError.
    """
    taken = _Taken()
    used: set[str] = set()
    for path, value in files.items():
        if _is_process_file(path, value):
            for name, process in value["processes"].items():
                where = f"{path}: processes.{name}"
                if not isinstance(process, Mapping):
                    raise LegacyError(f"{where}: is no object with a command")
                config = _config_of(path, process, files) if is_old_collector(process, where) else None
                if config is None:
                    taken.add(as_exec(name_of(name), process, where), None)
                else:
                    used.add(config)
                    manifest, sink = collector(name_of(name), files[config], config, series)
                    taken.add(as_built_in(manifest, process, where), sink)
    for path, value in files.items():
        if path not in used and not _is_process_file(path, value):
            taken.add(*collector(name_of(_stem(path)), value, path, series))
    return {f"{m.name}.yaml": document(m) for m in taken.manifests()}


def _config_of(path: str, process: Mapping[str, Any], files: Mapping[str, Any]) -> str | None:
    """The given file that a process names: where it would lie, else the only one of that file name."""
    written = process.get("config_file")
    if not written:
        return None
    directory = str(process.get("working_directory") or ".")
    expected = normpath(join(dirname(path), directory, str(written)))
    named = [p for p in files if normpath(p) == expected] or [
        p for p in files if basename(p) == basename(str(written))
    ]
    return named[0] if len(named) == 1 else None


def _is_process_file(path: str, value: Any) -> bool:
    if isinstance(value, Mapping):
        if isinstance(value.get("processes"), Mapping):
            return True
        if section_of(value):
            return False
    raise LegacyError(
        f'{path}: is no old file: neither "processes" nor one of {", ".join(SECTIONS)} stands in it'
    )


def _stem(path: str) -> str:
    return splitext(basename(path))[0].removesuffix("_config")


@dataclass(slots=True)
class _Taken:
    """Manifests so far, their names unique; sinks once for each database."""

    collectors: list[Manifest] = field(default_factory=list)
    sinks: dict[tuple[str, str], Manifest] = field(default_factory=dict)
    names: set[str] = field(default_factory=lambda: {"local"})

    def add(self, manifest: Manifest, sink: Manifest | None) -> None:
        if sink:
            database = sink.spec["url"], sink.spec["database"]
            if database not in self.sinks:
                sink.name = self._free(sink.name)
                self.sinks[database] = sink
            manifest.spec["sinks"] = [self.sinks[database].name]
        manifest.name = self._free(manifest.name)
        self.collectors.append(manifest)

    def manifests(self) -> Iterator[Manifest]:
        yield from self.collectors
        yield from self.sinks.values()

    def _free(self, name: str) -> str:
        found, number = name, 2
        while found in self.names:
            found, number = f"{name[:60]}-{number}", number + 1
        self.names.add(found)
        return found
