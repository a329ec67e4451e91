"""What a sender does with a sink's answers: one batch, until every line of it is stored or refused for good.

| answer       | what follows                                                                    |
| ------------ | ------------------------------------------------------------------------------- |
| taken        | settled; lines the server itself dropped count as rejected                      |
| retry        | the same again after max(Retry-After, back-off 0.25 s x2 to 5 s), without end   |
| hold         | the same again every 60 s, or as soon as the secret changes                     |
| too large    | halves                                                                          |
| malformed    | halves, down to the line at fault, which becomes a dead letter                  |

Replays and halves overwrite what is already stored: timestamps were fixed before the outbox.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from collectors.contract import Trouble
from collectors.feed import Chunk
from collectors.lines import parse
from collectors.sinks import Result, Sink, SinkError

FIRST_DELAY_S, MAX_DELAY_S = 0.25, 5.0
HOLD_S = 60.0
LOOK_FOR_SECRET_S = 0.5


class Delivery:
    """Brings batches to one sink; `on_trouble` hears why it does not accept, and None when it does."""

    def __init__(
        self,
        sink: Sink,
        dead_letters: Path,
        stop: asyncio.Event,
        log: logging.Logger,
        on_trouble: Callable[[Trouble | None], None],
    ) -> None:
        self._sink = sink
        self._dead_letters = dead_letters
        self._stop = stop
        self._log = log
        self._on_trouble = on_trouble
        self._trouble: Trouble | None = None

    async def deliver(self, batch: list[Chunk]) -> Counter[str] | None:
        """Points rejected by outbox uuid, once all the rest is stored; None where asked to stop before.

        Raises OSError when a dead letter cannot be written.
        """
        rejected: Counter[str] = Counter()
        pieces = [batch]
        while pieces:
            if self._stop.is_set():
                return None
            piece = pieces.pop()
            try:
                result = await self._write(piece)
            except SinkError as error:
                if _divisible(piece):
                    pieces.extend(reversed(_halves(piece)))
                    continue
                self._log.error("one line was refused for good: %s", error.message)
                self._write_dead_letter(piece[0], error.reason, error.message)
                rejected[piece[0].uuid] += piece[0].points
                continue
            if result is None:
                return None
            if result.rejected_lines and len({chunk.uuid for chunk in piece}) > 1:
                pieces.extend(reversed(_halves(piece)))  # whose lines they were, the answer does not say
            elif result.rejected_lines:
                self._log.warning("%s", result.message)
                rejected[piece[0].uuid] += _share(piece, result.rejected_lines)
                if not _divisible(piece):
                    self._write_dead_letter(piece[0], "Rejected", result.message)
        return rejected

    async def _write(self, piece: list[Chunk]) -> Result | None:
        """Write until there is an answer; None when asked to stop. Raises SinkError for a piece to divide."""
        body = b"\n".join(chunk.body for chunk in piece)
        delay_s = FIRST_DELAY_S
        while True:
            try:
                result = await asyncio.to_thread(self._sink.write, body)
            except SinkError as error:
                if error.answer in ("too large", "malformed"):
                    self._accepting()
                    raise
                self._refused(error)
                hold = error.answer == "hold"
                await self._wait(HOLD_S if hold else max(delay_s, error.retry_after_s), watch_secret=hold)
                delay_s = min(2 * delay_s, MAX_DELAY_S)
            else:
                self._accepting()
                return result
            if self._stop.is_set():
                return None

    async def _wait(self, seconds: float, *, watch_secret: bool) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (watch_secret and self._sink.changed()):
            try:
                await asyncio.wait_for(
                    self._stop.wait(), min(left, LOOK_FOR_SECRET_S) if watch_secret else left
                )
            except TimeoutError:
                continue
            return

    def _refused(self, error: SinkError) -> None:
        if self._trouble and self._trouble.reason == error.reason:
            return
        self._log.error("%s: %s", error.reason, error.message)
        self._trouble = Trouble(error.reason, error.message, time.time())
        self._on_trouble(self._trouble)

    def _accepting(self) -> None:
        if self._trouble:
            self._log.info("the sink accepts again")
        self._trouble = None
        self._on_trouble(None)

    def _write_dead_letter(self, chunk: Chunk, reason: str, message: str) -> None:
        """On disk before the line is counted; after a kill in between it may stand there twice."""
        letter = {
            "at": time.time(),
            "outbox": chunk.uuid,
            "reason": reason,
            "message": message,
            "line": chunk.body.decode("utf-8", "replace"),
        }
        self._dead_letters.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._dead_letters.open("ab") as file:
            file.write(json.dumps(letter, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _divisible(piece: list[Chunk]) -> bool:
    return len(piece) > 1 or b"\n" in piece[0].body


def _halves(piece: list[Chunk]) -> list[list[Chunk]]:
    """Two pieces that hold the same lines and points, in the same order."""
    if len(piece) > 1:
        middle = len(piece) // 2
        return [piece[:middle], piece[middle:]]
    (chunk,) = piece
    lines = chunk.body.split(b"\n")
    first, second = lines[: len(lines) // 2], lines[len(lines) // 2 :]
    points = min(sum(map(_fields, first)), chunk.points)
    return [
        [Chunk(chunk.uuid, points, b"\n".join(first))],
        [Chunk(chunk.uuid, chunk.points - points, b"\n".join(second))],
    ]


def _fields(line: bytes) -> int:
    try:
        return len(parse(line.decode())[2])
    except ValueError:
        return 1


def _share(piece: list[Chunk], lines: int) -> int:
    """Points of that many lines: servers say how many they dropped, not which."""
    total = sum(chunk.body.count(b"\n") + 1 for chunk in piece)
    points = sum(chunk.points for chunk in piece)
    return min(points, -(-points * lines // total))
