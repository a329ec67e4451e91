"""How log lines look: ``time - name - LEVEL - message`` for people, or an object a line for collectors of logs."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable

ENV_LOG_FORMAT = "DAQ_LOG_FORMAT"
"""``text`` or ``json``; of a built-in collector or sender by `spec.env` of its manifest."""


class JsonLines(logging.Formatter):
    """One JSON object a line; `at` is epoch seconds."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        entry = {
            "at": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def log_to_stderr(form: str, clock: Callable[[float | None], time.struct_time]) -> None:
    """Write what is logged from INFO on to standard error; `clock` says the time of text lines."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonLines())
    else:
        formatter = logging.Formatter("%(asctime)s - %(name)s - %(levelname)s - %(message)s")
        formatter.converter = clock
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
