"""What children and we left in the state directory, read again only where it changed."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from collectors.contract import LiveFile, Report, SpecFile, StateDir, read_json
from reconciler.model import Applied

logger = logging.getLogger("daq.processes")
T = TypeVar("T")

TAIL_BYTES = 1024
PATHS_KEPT = 4096
"""Making a path takes longer than looking whether its file has changed."""

NOT_GIVEN = LiveFile()

SPACE_BYTES = 1 << 16
"""With less than that, somebody's report finds no room."""


def is_writable(directory: Path) -> bool:
    """Whether files of some KiB can be written there; also where that cannot be told."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return True
    return disk.f_bavail * disk.f_frsize >= SPACE_BYTES and not disk.f_flag & os.ST_RDONLY


class Cache(Generic[T]):
    """Parsed JSON files by path, a text: hundreds are looked at in every pass. A file that cannot be parsed is logged
    once and passed over until it changes.
    """

    def __init__(self, parse: Callable[[Mapping[str, Any]], T]) -> None:
        self._parse = parse
        self._known: dict[str, tuple[tuple[int, int, int], T | None]] = {}

    def get(self, path: str) -> T | None:
        """None where there is no such file, or it is not what it should be."""
        try:
            status = os.stat(path)  # noqa: PTH116
            key = (status.st_ino, status.st_mtime_ns, status.st_size)
            known = self._known.get(path)
            if known and known[0] == key:
                return known[1]
            value = self._parsed(path)
        except FileNotFoundError:
            self._known.pop(path, None)
            return None
        except OSError as error:  # no descriptor left …: it may be readable at the next look
            logger.warning("cannot read %s now: %s", path, error)
            return known[1] if (known := self._known.get(path)) else None
        self._known[path] = key, value
        return value

    def once(self, path: str) -> T | None:
        """The same of a file that never changes: what was read of it counts until it is forgotten."""
        known = self._known.get(path)
        return known[1] if known and known[1] is not None else self.get(path)

    def forget(self, path: str) -> None:
        """It was removed."""
        self._known.pop(path, None)

    def paths(self) -> list[str]:
        """Every path that was there."""
        return list(self._known)

    def _parsed(self, path: str) -> T | None:
        try:
            return self._parse(read_json(Path(path)))
        except IsADirectoryError as error:
            logger.warning("cannot read %s, passed over: %s", path, error)
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("cannot read %s, passed over: %r", path, error)
            return None


class ChildFiles:
    """Specs, live files, reports and logs by name."""

    def __init__(self, state: StateDir) -> None:
        self._state = state
        self._path = lru_cache(PATHS_KEPT)(lambda of, *named: os.fspath(of(*named)))
        self._specs = Cache(lambda value: SpecFile(**value))
        self._lives = Cache(lambda value: LiveFile(**{**value, "sinks": tuple(value["sinks"])}))
        self._reports = Cache(Report.from_json)
        self._applied: dict[str, Applied] = {}
        self._known_reports: dict[str, Report] = {}

    def spec(self, name: str, digest: str) -> SpecFile | None:
        """What lies on disk for that digest of the name."""
        return self._specs.get(self._path(self._state.spec, name, digest))

    def remove_spec(self, path: Path) -> None:
        """Raises OSError."""
        path.unlink(missing_ok=True)
        self._specs.forget(os.fspath(path))

    def live(self, name: str) -> LiveFile | None:
        """The live file of the name."""
        return self._lives.get(self._path(self._state.live, name))

    def live_written(self, name: str) -> None:
        """The live file of the name was replaced."""
        self._lives.forget(self._path(self._state.live, name))

    def applied(self, name: str, digest: str, *, quick: bool = False) -> Applied | None:
        """What that digest of the name was given; None where the files are gone. The same object for the same files.

        A `quick` answer is as of the last other one, or of what was written since.
        """
        spec = self._specs.once(self._path(self._state.spec, name, digest))
        if spec is None:
            return None
        read = self._lives.once if quick else self._lives.get
        live = read(self._path(self._state.live, name)) or NOT_GIVEN
        known = self._applied.get(name)
        if known is None or known.spec is not spec or known.live is not live:
            known = self._applied[name] = Applied(spec, live)
        return known

    def all_reports(self) -> Mapping[str, Report]:
        """The newest report of each name."""
        self._known_reports = self._read_reports(self._report_files())
        return self._known_reports

    def reports(self, names: Collection[str]) -> Mapping[str, Report]:
        """The newest reports of these names."""
        directory = f"{self._state.root}/reports"
        found = self._read_reports([f"{directory}/{name}.json" for name in names if "/" not in name])
        self._known_reports = {**self._known_reports, **found}
        return found

    @property
    def known_reports(self) -> Mapping[str, Report]:
        """The reports as they were last read."""
        return self._known_reports

    def _read_reports(self, files: Collection[str]) -> dict[str, Report]:
        """By name; one that speaks of another name is passed over."""
        found: dict[str, Report] = {}
        for path in files:
            directory, _, file = path.rpartition("/")
            report = self._reports.get(path) if file[:1] != "." and file.endswith(".json") else None
            if report and path == f"{directory}/{report.name}.json":
                found[report.name] = report
        return found

    def _report_files(self) -> list[str]:
        directory = f"{self._state.root}/reports"
        try:
            return [f"{directory}/{file}" for file in os.listdir(directory)]  # noqa: PTH208  (hot path)
        except FileNotFoundError:
            return []
        except OSError as error:
            logger.warning("cannot read %s now: %s", directory, error)
            return self._reports.paths()

    def log_size(self, name: str) -> int:
        """Bytes in the log of that name."""
        try:
            return os.stat(self._path(self._state.log, name)).st_size  # noqa: PTH116
        except OSError:
            return 0

    def tail(self, name: str, begin: int = 0) -> str:
        """The last lines of the log after `begin`, at most 1 KiB."""
        try:
            with self._state.log(name).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                start = begin if begin <= size else 0  # the head was cut off since
                first = max(start, size - TAIL_BYTES)
                file.seek(first)
                text = file.read(TAIL_BYTES).decode(errors="replace")
        except OSError:  # none yet, or not readable now: what is said to people must not stop a pass
            return ""
        if first > start and "\n" in text.rstrip("\n"):
            text = text.partition("\n")[2]  # begin with a whole line
        return text.rstrip()
