"""Where readings go. A sink type is one module here, named like ``spec.type``, with a function ``open_sink``
(modules with an underscore in their names are parts of one).

A sink writes a body of line protocol and says what became of it. It knows neither outboxes nor retries:
what happens after a failure is the sender's business, and follows from the :class:`SinkError` alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Literal, Protocol

from collectors.contract import SpecFile, StateDir

Answer = Literal["retry", "hold", "failing", "too large", "malformed"]
"""What a refusal asks for: the same again after a while (it will pass), the same again once somebody has
repaired something, the same again some times in case it passes, the same in smaller parts, or finding the
lines that are at fault."""


@dataclass(frozen=True, slots=True)
class Result:
    """A body that was taken, but for `rejected_lines` of it, refused for good for the reason in `message`."""

    rejected_lines: int = 0
    message: str = ""


class SinkError(Exception):
    """A body that was not taken. `reason` is CamelCase; `retry_after_s` is what the server asked for."""

    def __init__(self, answer: Answer, reason: str, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.answer = answer
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s


class Sink(Protocol):
    """`at_once` says how many threads may write at the same time."""

    at_once: int

    def write(self, body: bytes) -> Result:
        """Store newline-separated lines, for good when it returns. Raises SinkError."""

    def changed(self) -> bool:
        """Whether a secret has changed since the last write, so that another try makes sense now."""

    def count(self, collector: str, begin_ns: int, end_ns: int) -> int:
        """Points it holds of a collector with timestamps from `begin_ns` to before `end_ns`.

        Raises SinkError; NotImplementedError, with a sentence, where such a server cannot tell.
        """

    def kept_since(self) -> int:
        """The time (ns) from which on its retention deletes nothing yet; 0 without retention. Raises SinkError."""

    def close(self) -> None:
        """Release connections and files."""


def open_sink(file: SpecFile, state: StateDir) -> Sink:
    """The sink a spec describes; connects to nothing yet. Raises ValueError where the spec is wrong."""
    known = sorted(module.name for module in iter_modules(__path__) if "_" not in module.name)
    kind = file.spec["type"]
    if kind not in known:
        raise ValueError(f"cannot open sink {file.name}: type {kind!r} is none of {', '.join(known)}")
    sink: Sink = import_module(f"{__name__}.{kind}").open_sink(file, state)
    return sink
