"""Certificates: the node's own, made once, and which servers are trusted. One directory, three below it.

``own/`` holds the certificate (``daq.der``, to be imported into servers) and its private key. A server that
is not trusted is put into ``rejected/``; moving its file to ``trusted/`` trusts it. A certificate in
``trusted/`` that is an authority's trusts what it issued.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from asyncua.crypto.cert_gen import (
    dump_private_key_as_pem,
    generate_private_key,
    generate_self_signed_app_certificate,
)
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS = 3650

log = logging.getLogger("collectors.protocols.opcua")


class Identity(NamedTuple):
    """A certificate (DER), its private key (PEM), and the application URI that the certificate names."""

    certificate: bytes
    private_key: bytes
    uri: str


class Pki:
    """The directory. Every method raises OSError where it cannot be used."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @property
    def own_certificate(self) -> Path:
        """The file to import into servers."""
        return self._root / "own" / "daq.der"

    def own(self, node: str) -> Identity:
        """The node's own identity, made where there is none or it has run out. Raises ValueError."""
        key = self._root / "own" / "daq.pem"
        self._make(self.own_certificate.parent)
        with (key.parent / ".lock").open("w") as lock:  # collectors of one node start at the same moment
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not key.exists() or _has_run_out(self.own_certificate):
                self._make_own(node, key)
        return identity(self.own_certificate.read_bytes(), key.read_bytes())

    def is_trusted(self, der: bytes) -> bool:
        """Whether it, or what issued it, is in ``trusted``."""
        server = x509.load_der_x509_certificate(der)
        return any(known == server or _issued(known, server) for known in self._trusted())

    def reject(self, der: bytes) -> Path:
        """Put a server's certificate into ``rejected``; the file."""
        server = x509.load_der_x509_certificate(der)
        names = server.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        name = re.sub(r"[^A-Za-z0-9._-]+", "_", str(names[0].value) if names else "server").strip("._")
        self._make(self._root / "trusted")
        self._make(self._root / "rejected")
        path = self._root / "rejected" / f"{name[:60]}.{fingerprint(der)[:16]}.der"
        path.write_bytes(der)
        return path

    @property
    def trusted(self) -> Path:
        """Where certificates of servers go to be trusted."""
        return self._root / "trusted"

    def _make_own(self, node: str, key: Path) -> None:
        uri, host = f"urn:{node}:daq", socket.gethostname()
        private = generate_private_key()
        certificate = generate_self_signed_app_certificate(
            private,
            f"daq@{node}"[:64],
            {"organizationName": "daq"},
            [x509.UniformResourceIdentifier(uri), x509.DNSName(host)],
            [ExtendedKeyUsageOID.CLIENT_AUTH],
            days=VALID_DAYS,
        )
        _write(self.own_certificate, certificate.public_bytes(Encoding.DER), 0o644)
        _write(key, dump_private_key_as_pem(private), 0o600)
        log.info("made a certificate for this node; import %s into the servers it is to talk to",
                 self.own_certificate)  # fmt: skip

    def _trusted(self) -> Iterator[x509.Certificate]:
        for path in sorted(self.trusted.glob("[!.]*")):
            try:
                yield read_certificate(path.read_bytes())
            except ValueError:
                log.warning("cannot use %s: it is no certificate, neither DER nor PEM", path)

    def _make(self, directory: Path) -> None:
        """Raises PermissionError where collectors could not read what we write: root in another user's directory."""
        home = self._root.parent
        if home.exists() and (owner := home.stat().st_uid) != os.geteuid():
            raise PermissionError(
                errno.EPERM, f"it belongs to uid {owner}; try: sudo -u '#{owner}' daq …", str(home)
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def identity(certificate: bytes, private_key: bytes) -> Identity:
    """An identity from a certificate (DER or PEM) and its key. Raises ValueError."""
    parsed = read_certificate(certificate)
    try:
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        uris = []
    if not uris:
        raise ValueError("the certificate names no application URI; OPC UA needs one as alternative name")
    return Identity(parsed.public_bytes(Encoding.DER), private_key, uris[0])


def read_certificate(data: bytes) -> x509.Certificate:
    """A certificate in DER or PEM. Raises ValueError."""
    pem = data.lstrip().startswith(b"-----BEGIN")
    return x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)


def fingerprint(der: bytes) -> str:
    """SHA-256 in hexadecimal, as servers show it."""
    return x509.load_der_x509_certificate(der).fingerprint(SHA256()).hex()


def _has_run_out(path: Path) -> bool:
    try:
        return read_certificate(path.read_bytes()).not_valid_after_utc <= datetime.now(UTC)
    except FileNotFoundError:
        return True


def _issued(authority: x509.Certificate, server: x509.Certificate) -> bool:
    """Whether an authority issued a certificate that is valid now."""
    try:
        basic = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
        if not basic.ca or not server.not_valid_before_utc <= datetime.now(UTC) <= server.not_valid_after_utc:
            return False
        server.verify_directly_issued_by(authority)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return True


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file atomically."""
    temporary = path.with_name(f".{path.name}.tmp")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        file.write(data)
    temporary.replace(path)
