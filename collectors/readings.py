"""What becomes of one device's answers: values, lines, qualities. No sockets, no clocks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from collectors import blocks
from collectors.contract import Quarantined
from collectors.decode import decoder, fields, kind
from collectors.fieldstate import FieldState, Request
from collectors.lines import field_key, field_value, line_of, series_key
from collectors.model import Bad, Block, Device, Quality, RefusedError, Value
from collectors.quarantine import Quarantine
from collectors.scale import Decoded
from collectors.schedule import is_due
from collectors.session import Sample
from collectors.spec import CollectorSpec

STALE_AFTER = 3
"""Missed intervals of a tag."""

QUALITY = "daq_quality"

Emit = Callable[[str, int], None]
"""Takes a line and the number of its fields."""


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
        self._by_index = tuple(self._states.values())
        self._repeated = [s for s in self._by_index if s.tag.at_least_every_s is not None]
        self._heard_at = began
        self._periods = tuple(sorted({tag.every for tag in device.tags}))
        self._quarantine = Quarantine()
        self._requests: dict[tuple[int, ...], tuple[Request, ...]] = {}
        self._answered: dict[Request, None] = {}
        self._calm: list[Request] = []

    def due(self, index: int, previous: int | None, now: float) -> tuple[Request, ...]:
        """The requests of a slot, `previous` being the last one in which the device answered.

        Values in quarantine are left out; one whose time is over is asked for once more.
        """
        periods = tuple(every for every in self._periods if is_due(every, index, previous))
        quarantine = self._quarantine
        if quarantine.forget(now):
            self._regroup()
        if periods not in self._requests:
            due = [tag for tag in self._device.tags if tag.every in periods]
            grouped = blocks.group(due, self._device.limits, without=quarantine.keys, cuts=quarantine.cuts())
            self._requests[periods] = tuple(map(self._request, grouped))
        again = quarantine.again(periods, now)
        return (*self._requests[periods], self._request(again)) if again else self._requests[periods]

    def answered(self, request: Request, raw: Sequence[int], at_ns: int, now: float) -> None:
        """Write the values of an answer as one line, and the changes of quality."""
        if self._quarantine.given(request.block):
            self._regroup()
        request.raw, request.at_ns, request.answered_at = raw, at_ns, now
        self._answered[request] = None
        values = request.decode(raw)
        if request.calm and Bad not in set(map(type, values)):
            self._emit(request.line(values, at_ns), len(values))
        else:
            self._weigh(request, values, at_ns, now)

    def _weigh(self, request: Request, values: Sequence[Decoded], at_ns: int, now: float) -> None:
        """Field by field: quality, deadband."""
        parts = []
        calm = True
        for state, value in zip(request.states, values, strict=True):
            state.quarantined = False
            if isinstance(value, Bad):
                calm = False
                self._change(state, "bad", value.reason, at_ns)
                continue
            if state.quality != "good":
                self._change(state, "good", "", at_ns)
            if state.tag.deadband is not None:
                calm = False
                if not _moved(state, value, now):
                    continue
            parts.append(f"{state.key}={field_value(value)}")
        if parts:
            self._emit(f"{self._series} {','.join(parts)} {at_ns}", len(parts))
        if calm:
            request.calm = True
            self._calm.append(request)

    def _heard(self) -> None:
        """Let the fields of what was answered know it."""
        for request in self._answered:
            for state in request.states:
                if request.answered_at >= state.read_at:
                    state.read_at, state.request = request.answered_at, request
        self._answered.clear()

    def took(self, samples: Iterable[Sample], now: float) -> None:
        """Write the values of samples (one field a tag), a line for each time, and the changes of quality.

        A sample that repeats the last one of its tag, time and all, is not stored again.
        """
        lines: dict[int, list[str]] = {}
        for sample in samples:
            state = self._by_index[sample.tag]
            state.read_at = now
            if sample == state.sample:
                continue
            value, at_ns = sample.value, sample.at_ns
            if isinstance(value, Bad):
                self._change(state, "bad", value.reason, at_ns)
                continue
            if state.quality != "good" or state.reason != sample.note:
                self._change(state, "good", sample.note, at_ns)
            state.sample = sample
            if state.tag.deadband is None or _moved(state, value, now):
                lines.setdefault(at_ns, []).append(f"{state.key}={field_value(value)}")
        for at_ns, parts in lines.items():
            self._emit(f"{self._series} {','.join(parts)} {at_ns}", len(parts))

    def confirmed(self, at_ns: int, now: float) -> None:
        """The device lives and would have sent what changed: every field is as fresh as if it were read.

        What is to be stored at least every so often is stored again, as of now.
        """
        self._heard_at = now
        for state in self._repeated:
            tag = state.tag
            due = tag.at_least_every_s is not None and now - state.written_at >= tag.at_least_every_s
            if due and state.quality == "good" and state.value is not None:
                state.written_at = now
                self._emit(f"{self._series} {state.key}={field_value(state.value)} {at_ns}", 1)

    def refused(self, request: Request, error: RefusedError, at_ns: int, now: float) -> tuple[Request, ...]:
        """The device will not give a block: the halves to ask for instead; none if it is in quarantine."""
        halves = self._quarantine.refused(request.block, error, at_ns / 1e9, now)
        self._regroup()
        self._heard()
        if not halves:
            for state in request.states:
                state.read_at, state.quarantined = now, True
                self._change(state, "bad", error.reason, at_ns)
        return tuple(map(self._request, halves))

    def settle(self) -> None:
        """All of a slot's requests have been sent, halves too."""
        if self._quarantine.settle():
            self._regroup()

    def quarantined(self) -> tuple[Quarantined, ...]:
        """The tags that the device refuses."""
        return self._quarantine.report()

    def states(self) -> Mapping[str, FieldState]:
        """What is known of each field, by its name, in the order of the tags."""
        self._heard()
        return self._states

    def grow_stale(self, reason: str, at_ns: int, now: float) -> None:
        """Mark the fields whose tags the device has not answered for three of their intervals."""
        self._heard()
        for state in self._states.values():
            last = max(state.read_at, self._heard_at)
            if not state.quarantined and now - last > STALE_AFTER * state.tag.every * self._interval_s:
                self._change(state, "stale", reason, at_ns)

    @property
    def stale_tags(self) -> int:
        """Tags with a stale field."""
        return len({state.tag.name for state in self._states.values() if state.quality == "stale"})

    def _request(self, block: Block) -> Request:
        found = fields(block)
        states = tuple(self._states[field.name] for field in found)
        line = line_of(self._series, [(s.key, kind(s.tag)) for s in states])
        return Request(block, f"{block.area}:{block.start}", found, states, decoder(block), line)

    def _change(self, state: FieldState, quality: Quality, reason: str, at_ns: int) -> None:
        if state.quality == quality and (state.reason == reason or quality == "stale"):
            return
        if quality != "good":
            self._worry()
        state.quality, state.reason = quality, reason
        state.value = state.sample = None  # what comes after a gap is written, however near
        line = f"quality={field_value(quality)},reason={field_value(reason)}"
        self._emit(f"{state.series} {line} {at_ns}", 2)

    def _regroup(self) -> None:
        """What is asked for in one request is to be thought over."""
        self._requests.clear()
        self._worry()

    def _worry(self) -> None:
        """Some field is good no more: look at each of them again."""
        for request in self._calm:
            request.calm = False
        self._calm.clear()


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
