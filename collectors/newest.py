"""The newest value of every tag, told in a file while somebody wants it; costs one stat a second while nobody does."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from collectors.contract import VALUES_WANTED_S, StateDir, write_json
from collectors.fieldstate import FieldState, Request
from collectors.model import Bad, Value
from collectors.unit import Unit

AT_MOST_EVERY_S = 0.2

Texts = Mapping[str, Mapping[str, str]]
"""Unit and title of a tag by its name."""

log = logging.getLogger("collectors.newest")


class NewestFile:
    """Writes the file of one collector; `texts` gives what people call its tags."""

    def __init__(self, state: StateDir, name: str, units: Sequence[Unit], texts: Callable[[], Texts]) -> None:
        self._path = state.values(name)
        self._mark = state.values_wanted(name)
        self._units = units
        self._texts = texts
        self._marked_at = 0.0
        self._until = 0.0
        self._told: object = None
        self._timer: asyncio.TimerHandle | None = None

    def look(self) -> None:
        """See whether somebody wants it; from then on it follows the readings for a while."""
        try:
            marked_at = self._mark.stat().st_mtime
        except FileNotFoundError:
            self._make_mark()
            return
        except OSError:
            return
        if marked_at == self._marked_at:
            return
        self._marked_at = marked_at
        age_s = max(0.0, time.time() - marked_at)
        self._until = time.monotonic() + VALUES_WANTED_S - age_s
        self._told = None
        if self._timer is None:
            self._follow()

    def _make_mark(self) -> None:
        """Ours, whoever sets it: root too reads values, and its files would lock us out."""
        with suppress(OSError):  # then nobody can ask; the next look tries again
            self._mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._mark.touch(mode=0o600)
            os.utime(self._mark, (0, 0))

    def _follow(self) -> None:
        """Write what has come, and look again in a moment."""
        self._timer = None
        if time.monotonic() > self._until:
            return
        now = [(unit.reads, unit.errors, unit.readings.stale_tags) for unit in self._units]
        if now != self._told:
            self._told = now
            try:
                write_json(self._path, {"at": time.time(), "values": values_of(self._units, self._texts())})
            except OSError as error:
                log.error("cannot write the newest values: %s", error)
        self._timer = asyncio.get_running_loop().call_later(AT_MOST_EVERY_S, self._follow)


def values_of(units: Sequence[Unit], texts: Texts) -> list[dict[str, Any]]:
    """The newest value of each field of each device, as :meth:`collectors.contract.StateDir.values` shapes it."""
    return [
        _shown(unit, name, state, found.get(name), texts)
        for unit in units
        for states in [unit.readings.states()]
        for found in [dict(_answers(states))]
        for name, state in states.items()
    ]


def _answers(states: Mapping[str, FieldState]) -> Iterator[tuple[str, tuple[Value | Bad, str, int]]]:
    """Value, raw words and time of each field that has one; each answer is decoded once."""
    requests: dict[Request, None] = dict.fromkeys(s.request for s in states.values() if s.request)
    for request in requests:
        form = "0x{:04X}" if request.block.unit == "word" else "{:d}"
        for field, value in zip(request.fields, request.decode(request.raw), strict=True):
            if states[field.name].request is request:
                words = request.raw[field.start : field.start + field.tag.width]
                yield field.name, (value, " ".join(map(form.format, words)), request.at_ns)
    for name, state in states.items():
        if state.sample:
            yield name, (state.sample.value, "", state.sample.at_ns)


def _shown(
    unit: Unit, name: str, state: FieldState, found: tuple[Value | Bad, str, int] | None, texts: Texts
) -> dict[str, Any]:
    value, raw, at_ns = found or (None, "", 0)
    quality, reason = state.quality, state.reason
    if found is None and quality == "good":
        quality, reason = "stale", unit.reason
    usable = quality != "bad" and not isinstance(value, Bad)
    return {
        "device": unit.device.name,
        "tag": name,
        "value": value if usable else None,
        "unit": texts.get(state.tag.name, {}).get("unit"),
        "quality": quality,
        "at": at_ns / 1e9 if at_ns else None,
        "raw": raw,
    } | ({"reason": reason} if reason else {})
