"""Passwords and tokens: always ``{env: NAME}`` or ``{file: PATH}``, read when they are needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


class SecretError(Exception):
    """A secret that cannot be read; the message says where it should be, never what it is."""


class Secret:
    """Where a secret stands (a relative path starts at `directory`), and what it was when last read."""

    def __init__(self, source: Mapping[str, str], directory: Path = Path()) -> None:
        self._source = source
        self._directory = directory
        self._last: str | None = None

    def read(self) -> str:
        """The secret as it is now, without a final line break. Raises SecretError."""
        self._last = None
        self._last = self._look()
        return self._last

    def changed(self) -> bool:
        """Whether it can be read and differs from what was last read."""
        try:
            return self._look() != self._last
        except SecretError:
            return False

    def redact(self, text: str) -> str:
        """`text` without the secret."""
        return text.replace(self._last, "***") if self._last else text

    def _look(self) -> str:
        if name := self._source.get("env"):
            try:
                return os.environ[name]
            except KeyError:
                raise SecretError(f"cannot read the secret: environment variable {name} is not set") from None
        path = self._directory / self._source["file"]
        try:
            return path.read_text("utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise SecretError(f"cannot read the secret in {path}: {reason}") from None
