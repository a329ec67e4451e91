"""Dead letters: the lines a sink refused for good, with its words, in ``dead-letter/<sink>.ndjson``.

One JSON object a line. The sender alone writes the file. Whoever wants a replay leaves a request beside it
and waits for the answer there; so the counters keep their one writer. A letter's id is made of its line, so
that one written twice, because its sender was killed before it could count it, is still one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from collectors.contract import StateDir, Trouble, read_json, write_json

MAX_BYTES = 16 << 20
"""Beyond it refused lines are counted and logged, but not kept."""
REJECTING_S = 60.0
"""So long after the last refused line it is said that lines are."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A refused line: of which outbox, how many points, why (a CamelCase reason, the server's words); epoch seconds."""

    id: str
    at: float
    outbox: str
    points: int
    reason: str
    message: str
    line: str

    @classmethod
    def of(cls, outbox: str, line: bytes, points: int, reason: str, message: str) -> Letter:
        """A letter written now."""
        digest = hashlib.sha256(outbox.encode() + b"\n" + line).hexdigest()[:16]
        return cls(digest, time.time(), outbox, points, reason, message, line.decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of a replay: letters the sink took, and letters that it refused again."""

    taken: int
    refused: int


class Letters:
    """The dead letters of one sink, for its sender. Methods raise OSError."""

    def __init__(self, state: StateDir, sink: str, log: logging.Logger) -> None:
        self._path = state.dead_letters(sink)
        self._log = log
        self._full = False
        self._rejecting: Trouble | None = None
        self._rejected_at = 0.0

    @property
    def trouble(self) -> Trouble | None:
        """That lines are refused at present, with the first one and the sink's words."""
        if time.monotonic() - self._rejected_at > REJECTING_S:
            self._rejecting = None
        return self._rejecting

    def add(self, letters: Sequence[Letter]) -> None:
        """Put them on disk; to be done before they are counted. Raises OSError, then none of them is there."""
        text = "".join(_line(letter) for letter in letters).encode()
        if not text:
            return
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "ab", buffering=0) as file:
            size = file.tell()
            full = size + len(text) > MAX_BYTES
            if full and not self._full:
                self._log.error("cannot keep more dead letters in %s: replay or remove them", self._path.name)
            self._full = full
            if not full:
                try:
                    if file.write(text) < len(text):
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    os.fsync(fd)
                except OSError:
                    file.truncate(size)
                    raise
        self._tell(letters[0])

    def keep(self, letters: Collection[Letter]) -> None:
        """Leave only these in the file; it goes when there are none."""
        if not letters:
            self._path.unlink(missing_ok=True)
            return
        temporary = self._path.with_name(f".{self._path.name}.tmp")
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write("".join(map(_line, letters)).encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)

    def _tell(self, letter: Letter) -> None:
        message = (
            f"lines are refused for good, as this one of {letter.line.partition(' ')[0][:200]}: {letter.message};"
            f" daq dead-letter list {self._path.stem}"
        )
        self._rejecting = self.trouble or Trouble("DataRejected", message, time.time())
        self._rejected_at = time.monotonic()

    def asked(self) -> bool:
        """Whether somebody waits for a replay."""
        return _request(self._path).exists()

    def answer(self, replayed: Replayed) -> None:
        """Say what came of it."""
        write_json(_answer(self._path), asdict(replayed))
        _request(self._path).unlink(missing_ok=True)


def read_letters(path: Path) -> list[Letter]:
    """What stands in a file of dead letters, oldest first, each once; nothing where there is none.

    A last line that is cut off was never counted and is passed over. Raises OSError.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    found: dict[str, Letter] = {}
    for text in data.split(b"\n"):
        try:
            letter = Letter(**json.loads(text))
        except (ValueError, TypeError):
            continue
        found.setdefault(letter.id, letter)
    return list(found.values())


def ask_for_replay(path: Path) -> None:
    """Leave a request for the sender. Raises OSError."""
    _answer(path).unlink(missing_ok=True)
    _request(path).touch(mode=0o600)


def replay_answer(path: Path) -> Replayed | None:
    """The sender's answer to the request; None while there is none."""
    try:
        return Replayed(**read_json(_answer(path)))
    except FileNotFoundError:
        return None


def withdraw(path: Path) -> None:
    """Do not wait for a replay any longer."""
    _request(path).unlink(missing_ok=True)


def _request(path: Path) -> Path:
    return path.with_suffix(".replay")


def _answer(path: Path) -> Path:
    return path.with_suffix(".replayed")


def _line(letter: Letter) -> str:
    return json.dumps(asdict(letter), ensure_ascii=False) + "\n"
