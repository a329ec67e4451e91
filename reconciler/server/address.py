"""Where the endpoint listens, and what it asks of clients."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Address:
    """The options of ``daq run`` that concern the endpoint; `port` 0 takes a free one."""

    host: str
    port: int
    allowed_hosts: tuple[str, ...] = ()
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def scheme(self) -> str:
        """``https`` with a certificate, else ``http``."""
        return "https" if self.certificate else "http"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    def listen(self) -> socket.socket:
        """A socket that listens on it. Raises OSError with a sentence."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self.host, self.port))
            bound.listen()
        except OSError as error:
            bound.close()
            where = host_and_port(self.host, self.port)
            raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from error
        return bound


def is_loopback(host: str) -> bool:
    """Whether a name or address never leaves this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def host_and_port(host: str, port: int) -> str:
    """As written in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
