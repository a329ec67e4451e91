"""What a sender does with a sink's answers: one batch, until every line of it is stored or refused for good.

| answer    | what follows                                                                          |
| --------- | ------------------------------------------------------------------------------------- |
| taken     | settled                                                                               |
| in part   | the lines the server dropped are found by halving, and refused                        |
| retry     | again after max(Retry-After, back-off 0.25 s x2 to 5 s), without end                  |
| hold      | again every 60 s, or as soon as the secret changes                                    |
| failing   | the same again, five times; then halves: it may be a line that brings the server down |
| too large | halves                                                                                |
| malformed | halves                                                                                |

Halves lead to the lines at fault. But a line is condemned only if the sink has taken others of its batch, or
has itself said that it stored the rest: a server that refuses everything is at fault itself, and its batch
is put back and tried again, with what has come in since.

While a sink does not accept, nothing is on its way: a batch of which nothing was taken is put back, and its rows may
be dropped for their age like any other; what is tried next is a new batch, with the newest data in it.

What one request is told to wait for holds for all, but for those five attempts. Replays and halves overwrite
what is already stored: timestamps were fixed before the outbox.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from collectors.contract import Trouble
from collectors.feed import Chunk
from collectors.hours import fields
from collectors.letters import Letter
from collectors.sinks import Result, Sink, SinkError

FIRST_DELAY_S, MAX_DELAY_S = 0.25, 5.0
HOLD_S = 60.0
LOOK_FOR_SECRET_S = 0.5
ATTEMPTS = 5
"""At what the server fails at: a batch before it is divided, a line before it is condemned."""

Piece = Sequence[Chunk]


class Delivery:
    """Brings batches to one sink; `on_trouble` hears why it does not accept, and None when it does.

    `trouble` is what it heard last.
    """

    def __init__(
        self,
        sink: Sink,
        stop: asyncio.Event,
        log: logging.Logger,
        on_trouble: Callable[[Trouble | None], None],
    ) -> None:
        self._sink = sink
        self._stop = stop
        self._log = log
        self._on_trouble = on_trouble
        self.trouble: Trouble | None = None
        self._delay_s = FIRST_DELAY_S
        self._quiet_until = 0.0
        self._watch_secret = False

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    async def deliver(self, batch: Piece) -> list[Letter] | None:
        """The lines refused for good, once all the rest is stored.

        None where the batch stays undelivered: asked to stop, or nothing of it was taken.
        """
        refused: list[Letter] = []
        pieces, doubtful = [batch], list[Piece]()
        proven = False
        while pieces:
            piece = pieces.pop()
            try:
                whole = piece is batch or not _divisible(piece)
                result = await self._write(piece, ATTEMPTS if whole else 1, patient=proven)
            except SinkError as error:
                if not proven and (doubtful or not _divisible(piece)):
                    doubtful.append(piece)
                elif _divisible(piece):
                    pieces += _halves(piece)
                else:
                    refused.append(_letter(piece[0], error.reason, error.message))
                if not pieces and doubtful:
                    self._refused(error)
                    return None
                continue
            if result is None:
                return None
            if result.rejected_lines:
                lines = _lines(piece)
                if result.rejected_lines >= len(lines):
                    refused += [_letter(line, "Rejected", result.message) for line in lines]
                    continue
                pieces += _halves(piece)
            proven = True
            pieces, doubtful = pieces + doubtful, []
        if doubtful:
            return None
        if refused:
            self._log.error("%d lines were refused for good: %s", len(refused), refused[0].message)
        return refused

    async def _write(self, piece: Piece, attempts: int, *, patient: bool) -> Result | None:
        """Write until there is an answer; None when asked to stop, or if not `patient` while the sink does not accept.

        Raises SinkError for a piece to divide.
        """
        body = b"\n".join(chunk.body for chunk in piece)
        delay_s = FIRST_DELAY_S
        while True:
            await self.quiet()
            if self._stop.is_set():
                return None
            try:
                result = await asyncio.to_thread(self._sink.write, body)
            except SinkError as error:
                attempts -= error.answer == "failing"
                if error.answer in ("too large", "malformed") or not attempts:
                    raise
                if error.answer == "failing":
                    await self._wait(max(delay_s, error.retry_after_s))
                    delay_s *= 2
                else:
                    self._refused(error)
                    if not patient:
                        return None
            else:
                self._accepted()
                return result

    async def quiet(self) -> None:
        """Wait as long as the sink wants to be left alone, or until another secret gives new hope."""
        while (left := self._quiet_until - time.monotonic()) > 0 and not self._stop.is_set():
            if self._watch_secret and self._sink.changed():
                return
            await self._wait(min(left, LOOK_FOR_SECRET_S))

    async def _wait(self, seconds: float) -> None:
        """Until then, or until asked to stop."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    def _refused(self, error: SinkError) -> None:
        now = time.monotonic()
        hold = error.answer == "hold"
        wait_s = HOLD_S if hold else max(self._delay_s, error.retry_after_s)
        if now >= self._quiet_until:
            self._delay_s = min(2 * self._delay_s, MAX_DELAY_S)
        self._quiet_until, self._watch_secret = max(self._quiet_until, now + wait_s), hold
        if self.trouble and self.trouble.reason == error.reason:
            return
        self._log.error("%s: %s", error.reason, error.message)
        self.trouble = Trouble(error.reason, error.message, time.time())
        self._on_trouble(self.trouble)

    def _accepted(self) -> None:
        if self.trouble:
            self._log.info("the sink accepts again")
        self.trouble, self._delay_s, self._quiet_until = None, FIRST_DELAY_S, 0.0
        self._on_trouble(None)


def _divisible(piece: Piece) -> bool:
    return len(piece) > 1 or b"\n" in piece[0].body


def _halves(piece: Piece) -> list[Piece]:
    """Two pieces, the first one last. Lines of one series stay together: what is wrong is so with all, mostly."""
    lines = _lines(piece)
    middle = len(lines) // 2
    return [lines[middle:], lines[:middle]]


def _lines(piece: Piece) -> list[Chunk]:
    """A chunk for each line, by series."""
    lines = [Chunk(chunk.uuid, 0, line) for chunk in piece for line in chunk.body.split(b"\n")]
    return sorted(lines, key=lambda chunk: chunk.body.partition(b" ")[0])


def _letter(line: Chunk, reason: str, message: str) -> Letter:
    return Letter.of(line.uuid, line.body, fields(line.body), reason, message)
