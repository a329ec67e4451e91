"""What becomes of one device's answers: values, lines, qualities. No sockets, no clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from collectors import blocks
from collectors.contract import Quarantined
from collectors.decode import Decoded, decoder, fields
from collectors.lines import field_key, field_value, series_key
from collectors.model import Bad, Block, Device, Quality, RefusedError, Tag, Value
from collectors.quarantine import Quarantine
from collectors.schedule import is_due
from collectors.spec import CollectorSpec

STALE_AFTER = 3
"""Missed intervals of a tag."""

QUALITY = "daq_quality"

Emit = Callable[[str, int], None]
"""Takes a line and the number of its fields."""


@dataclass(slots=True)
class FieldState:
    """What was last known of a field; times are monotonic seconds, ``read_at`` of the last answer."""

    key: str
    tag: Tag
    series: str
    read_at: float
    quality: Quality = "good"
    reason: str = ""
    value: Value | None = None
    written_at: float = 0.0
    quarantined: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """A block, how its answer is decoded, and the states of its fields."""

    block: Block
    decode: Callable[[Sequence[int]], list[Decoded]]
    states: tuple[FieldState, ...]


class Readings:
    """The fields of one device.

    ``now`` and ``began`` are monotonic seconds; a device that never answers grows stale from ``began``.
    """

    def __init__(self, spec: CollectorSpec, device: Device, emit: Emit, began: float) -> None:
        self._device = device
        self._interval_s = spec.interval_ms / 1000
        self._emit = emit
        self._series = series_key(
            spec.measurement, {**device.labels, "collector": spec.name, "device": device.name}
        )
        self._states = {
            name: FieldState(
                key=field_key(name),
                tag=tag,
                series=series_key(QUALITY, {"collector": spec.name, "device": device.name, "tag": name}),
                read_at=began,
            )
            for tag in device.tags
            for name in tag.fields
        }
        self._periods = tuple(sorted({tag.every for tag in device.tags}))
        self._quarantine = Quarantine()
        self._requests: dict[tuple[int, ...], tuple[Request, ...]] = {}

    def due(self, index: int, previous: int | None, now: float) -> tuple[Request, ...]:
        """The requests of a slot, `previous` being the last one in which the device answered.

        Values in quarantine are left out; one whose time is over is asked for once more.
        """
        periods = tuple(every for every in self._periods if is_due(every, index, previous))
        quarantine = self._quarantine
        if quarantine.forget(now):
            self._requests.clear()
        if periods not in self._requests:
            due = [tag for tag in self._device.tags if tag.every in periods]
            grouped = blocks.group(due, self._device.limits, without=quarantine.keys, cuts=quarantine.cuts())
            self._requests[periods] = tuple(map(self._request, grouped))
        again = quarantine.again(periods, now)
        return (*self._requests[periods], self._request(again)) if again else self._requests[periods]

    def answered(self, request: Request, raw: Sequence[int], at_ns: int, now: float) -> None:
        """Write the values of an answer as one line, and the changes of quality."""
        if self._quarantine.given(request.block):
            self._requests.clear()
        parts = []
        for state, value in zip(request.states, request.decode(raw), strict=True):
            state.read_at, state.quarantined = now, False
            if isinstance(value, Bad):
                self._change(state, "bad", value.reason, at_ns)
                continue
            if state.quality != "good":
                self._change(state, "good", "", at_ns)
            if state.tag.deadband is None or _moved(state, value, now):
                parts.append(f"{state.key}={field_value(value)}")
        if parts:
            self._emit(f"{self._series} {','.join(parts)} {at_ns}", len(parts))

    def refused(self, request: Request, error: RefusedError, at_ns: int, now: float) -> tuple[Request, ...]:
        """The device will not give a block: the halves to ask for instead; none if it is in quarantine."""
        halves = self._quarantine.refused(request.block, error, at_ns / 1e9, now)
        self._requests.clear()
        if not halves:
            for state in request.states:
                state.read_at, state.quarantined = now, True
                self._change(state, "bad", error.reason, at_ns)
        return tuple(map(self._request, halves))

    def settle(self) -> None:
        """All of a slot's requests have been sent, halves too."""
        if self._quarantine.settle():
            self._requests.clear()

    def quarantined(self) -> tuple[Quarantined, ...]:
        """The tags that the device refuses."""
        return self._quarantine.report()

    def grow_stale(self, reason: str, at_ns: int, now: float) -> None:
        """Mark the fields whose tags the device has not answered for three of their intervals."""
        for state in self._states.values():
            if (
                not state.quarantined
                and now - state.read_at > STALE_AFTER * state.tag.every * self._interval_s
            ):
                self._change(state, "stale", reason, at_ns)

    @property
    def stale_tags(self) -> int:
        """Tags with a stale field."""
        return len({state.tag.name for state in self._states.values() if state.quality == "stale"})

    def _request(self, block: Block) -> Request:
        return Request(block, decoder(block), tuple(self._states[field.name] for field in fields(block)))

    def _change(self, state: FieldState, quality: Quality, reason: str, at_ns: int) -> None:
        if state.quality == quality and (state.reason == reason or quality == "stale"):
            return
        state.quality, state.reason = quality, reason
        state.value = None  # what comes after a gap is written, however near
        line = f"quality={field_value(quality)},reason={field_value(reason)}"
        self._emit(f"{state.series} {line} {at_ns}", 2)


def _moved(state: FieldState, value: Value, now: float) -> bool:
    """Whether a value under a deadband is to be written, and then remember it."""
    tag, last = state.tag, state.value
    if last is not None and not isinstance(value, str) and not isinstance(last, str):
        within = abs(value - last) < (tag.deadband or 0.0)
        if within and (tag.at_least_every_s is None or now - state.written_at < tag.at_least_every_s):
            return False
    state.value, state.written_at = value, now
    return True


def count_stale(readings: Iterable[Readings]) -> int:
    """Stale tags of several devices."""
    return sum(r.stale_tags for r in readings)
