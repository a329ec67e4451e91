"""What a collector knows of a field, and of the request that reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from collectors.decode import Decoder, Field
from collectors.model import Block, Quality, Tag, Value
from collectors.session import Sample


@dataclass(slots=True)
class FieldState:
    """What was last known of a field; times are monotonic seconds, ``read_at`` of the last answer.

    ``request``: the one that was answered last, if its protocol reads blocks; ``sample``: if not.
    """

    key: str
    tag: Tag
    series: str
    read_at: float
    quality: Quality = "good"
    reason: str = ""
    value: Value | None = None
    written_at: float = 0.0
    quarantined: bool = False
    sample: Sample | None = None
    request: Request | None = None


@dataclass(slots=True, eq=False)
class Request:
    """A block, how its answer is decoded and written as a line, the states of its fields, and its last answer.

    ``place`` names it in the log. ``calm``: every field was good at the last answer and has no deadband, so an
    answer without a bad value is nothing but one line.
    """

    block: Block
    place: str
    fields: tuple[Field, ...]
    states: tuple[FieldState, ...]
    decode: Decoder
    line: Callable[[Sequence[Any], int], str]
    calm: bool = False
    raw: Sequence[int] = ()
    at_ns: int = 0
    answered_at: float = 0.0
