"""The bearer token that clients must show, in a file that is read again whenever it changes."""

from __future__ import annotations

import hmac
import logging
import re
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

SUBPROTOCOL = "daq.bearer"
"""A browser cannot set headers on a WebSocket; it says this subprotocol and the token as a second one."""

_FITS = re.compile(r"[A-Za-z0-9._~+-]{8,512}")

logger = logging.getLogger("daq.server")


class Token:
    """One file's token. While the file cannot be used, the last good one stays in force."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises OSError with a sentence."""
        self._path = path
        self._stamp = self._stamp_now()
        try:
            self._value = self._read()
        except (OSError, ValueError) as error:
            raise OSError(0, str(error)) from None

    def is_in(self, scope: Scope, headers: Headers) -> bool:
        """Whether a request shows it; takes as long whatever was shown."""
        self._look()
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            protocols = scope.get("subprotocols", ())
            shown = protocols[1] if len(protocols) == 2 and protocols[0] == SUBPROTOCOL else ""
        return hmac.compare_digest(shown.strip().encode(), self._value)

    def _look(self) -> None:
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._value = self._read()
            logger.info("%s was read again: the token in it is in force", self._path)
        except (OSError, ValueError) as error:
            logger.error("%s; the token before stays in force", error)

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _read(self) -> bytes:
        try:
            text = self._path.read_text("ascii").strip()
        except UnicodeDecodeError:
            text = ""
        except OSError as error:
            raise OSError(error.errno, f"cannot read the token in {self._path}: {error.strerror}") from error
        if not _FITS.fullmatch(text):
            raise ValueError(
                f"cannot use the token in {self._path}: it must be one line of 8 to 512 letters, digits and -._~+; "
                "`openssl rand -hex 32` makes one"
            )
        return text.encode()
