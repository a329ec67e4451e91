"""One OPC UA session over asyncua: opened within a time, closed on every path.

A client that lost its connection is not used again, for some losses cannot be recovered from (asyncua issues
1660, 977, 1072): each connection has a client of its own, and the driver reconnects nothing.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from asyncua import Client, ua
from asyncua.crypto import security_policies
from asyncua.crypto.uacrypto import CertProperties
from asyncua.ua.uaerrors import UaError, UaStatusCodeError

from collectors.model import LinkLostError
from collectors.protocols.opcua import Server
from collectors.protocols.opcua_pki import Identity, Pki, fingerprint, identity
from collectors.protocols.opcua_values import status_name
from collectors.secret import Secret, SecretError
from collectors.session import Home

logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it reports every loss; we report changes

SESSION_TIMEOUT_MS = 60_000
"""A session whose client died is no burden to the server for longer."""
CLOSE_WITHIN_S = 1.5
CONNECT_TIMEOUTS = 2
"""Time-outs of one request that connecting may take in all."""

_HIDING = {
    security_policies.SecurityPolicyBasic256Sha256.URI,
    security_policies.SecurityPolicyAes128Sha256RsaOaep.URI,
    security_policies.SecurityPolicyAes256Sha256RsaPss.URI,
}
"""Policies that hide a password."""

_UNTRUSTED_BY_SERVER = {
    "BadSecurityChecksFailed", "BadCertificateUntrusted", "BadCertificateInvalid",
    "BadCertificateUriInvalid", "BadCertificateUseNotAllowed", "SecureChannelRefused",
}  # fmt: skip


_UNREADABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What the driver stumbles over where an answer is none."""


@contextmanager
def told(server: Server, what: str = "read") -> Iterator[None]:
    """Failures of the driver become LinkLostError, which says what could not be done, and why."""
    try:
        yield
    except UaStatusCodeError as error:
        name = status_name(error.code)
        raise LinkLostError(name, f"cannot {what} {server.url}: {name}") from None
    except TimeoutError:
        raise LinkLostError(
            "Timeout", f"cannot {what} {server.url}: no answer within {server.timeout_s:g} s"
        ) from None
    except ConnectionRefusedError:
        raise LinkLostError("ConnectionRefused", f"cannot {what} {server.url}: connection refused") from None
    except (OSError, UaError) as error:
        raise LinkLostError("ConnectionLost", f"cannot {what} {server.url}: {error}") from None
    except _UNREADABLE as error:
        why = f"what it answered cannot be read ({type(error).__name__}: {error})"
        raise LinkLostError("BadAnswer", f"cannot {what} {server.url}: {why}") from error


class Session(Client):  # type: ignore[misc]
    """A client that hides a password if the server names any way to, not only where that is the first it names.

    ``shows_password``: it went over the network as it is.
    """

    shows_password = False
    _ways: Sequence[ua.UserTokenPolicy] = ()

    async def create_session(self) -> ua.CreateSessionResult:
        """Remember by which ways a user may identify."""
        created = await super().create_session()
        used = self.security_policy
        self._ways = self.find_endpoint(created.ServerEndpoints, used.Mode, used.URI).UserIdentityTokens
        return created

    def server_policy(self, token_type: ua.UserTokenType) -> ua.UserTokenPolicy:
        """The way that is taken."""
        ways = [way for way in self._ways if way.TokenType == token_type and way.SecurityPolicyUri in _HIDING]
        taken = ways[0] if ways else super().server_policy(token_type)
        if token_type == ua.UserTokenType.UserName and taken.SecurityPolicyUri not in _HIDING:
            self.shows_password = self.security_policy.Mode != ua.MessageSecurityMode.SignAndEncrypt
        return taken


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[None]:
    """``asyncio.timeout``, which takes the driver's own kind of cancellation (with a result) for one from outside."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if limit.expired() and task is not None and not task.cancelling():
            raise TimeoutError from None
        raise


async def connect(server: Server, home: Home) -> Session:
    """An open session. Raises LinkLostError."""
    pki = Pki(home.state.pki)
    try:
        with told(server, "connect to"):
            async with within(CONNECT_TIMEOUTS * server.timeout_s):
                return await _connect(server, home, pki)
    except LinkLostError as error:
        if server.security.policy != "None" and error.reason in _UNTRUSTED_BY_SERVER:
            raise LinkLostError(error.reason, f"{error}; if it does not trust this node yet, import "
                                              f"{pki.own_certificate} there") from None  # fmt: skip
        raise


async def close(client: Client) -> None:
    """End a session, as far as the server answers."""
    try:
        async with within(CLOSE_WITHIN_S):
            await client.disconnect()
    except (OSError, UaError, TimeoutError, *_UNREADABLE):
        pass  # it is gone: nothing left to close but the socket
    finally:
        client.disconnect_socket()


async def _connect(server: Server, home: Home, pki: Pki) -> Session:
    client = _client(server)
    client.description = f"daq {home.node}"
    client.application_uri = f"urn:{home.node}:daq"
    client.session_timeout = SESSION_TIMEOUT_MS
    try:
        if server.user is not None and server.password is not None:
            client.set_user(server.user)
            client.set_password(Secret(server.password, home.directory).read())
        if server.security.policy != "None":
            await _secure(client, server, home, pki)
        await client.connect()
    except (
        AssertionError
    ):  # how the driver takes a fault in place of a channel; it keeps the status to itself
        raise LinkLostError(
            "SecureChannelRefused", f"cannot connect to {server.url}: it refuses a secure channel"
        ) from None
    except SecretError as error:
        raise LinkLostError("SecretUnreadable", f"cannot connect to {server.url}: {error}") from None
    except BaseException:
        await close(client)
        raise
    return client


def _client(server: Server) -> Session:
    client = Session(server.url, timeout=server.timeout_s, watchdog_intervall=server.timeout_s)
    client.name = "daq"
    client.product_uri = "urn:daq"
    return client


async def _secure(client: Session, server: Server, home: Home, pki: Pki) -> None:
    """Ask the server for its certificate, and use it if it is trusted."""
    wanted = server.security
    policy = getattr(security_policies, f"SecurityPolicy{wanted.policy}")
    mode = ua.MessageSecurityMode[wanted.mode]
    der = await _server_certificate(server, policy.URI, mode)
    try:
        if not pki.is_trusted(der):
            path = pki.reject(der)
            raise LinkLostError(
                "ServerNotTrusted",
                f"cannot connect to {server.url}: its certificate is not trusted yet; if SHA-256 "
                f"{fingerprint(der)} is right, move {path} to {pki.trusted}",
            )
        own = _identity(server, home, pki)
    except (OSError, ValueError) as error:
        raise LinkLostError("CertificateUnusable", f"cannot connect to {server.url}: {error}") from None
    client.application_uri = own.uri
    await client.set_security(
        policy,
        CertProperties(own.certificate, "der"),
        CertProperties(own.private_key, "pem"),
        server_certificate=CertProperties(der, "der"),
        mode=mode,
    )


async def _server_certificate(server: Server, policy_uri: str, mode: ua.MessageSecurityMode) -> bytes:
    client = _client(server)
    try:
        endpoints = await client.connect_and_get_server_endpoints()
    finally:
        client.disconnect_socket()
    for endpoint in endpoints:
        if (endpoint.SecurityPolicyUri, endpoint.SecurityMode) == (policy_uri, mode):
            der = bytes(endpoint.ServerCertificate)
            return der[: int.from_bytes(der[2:4], "big") + 4]  # the first one, where a chain follows it
    offered = {
        f"{e.SecurityPolicyUri.rpartition('#')[2]}/{e.SecurityMode.name.rstrip('_')}" for e in endpoints
    }
    raise LinkLostError(
        "NoSuchEndpoint",
        f"cannot connect to {server.url}: it has no endpoint {server.security.policy}/"
        f"{server.security.mode}, only {', '.join(sorted(offered))}",
    )


def _identity(server: Server, home: Home, pki: Pki) -> Identity:
    security = server.security
    if security.certificate is None or security.private_key is None:
        return pki.own(home.node)
    certificate = (home.directory / security.certificate).read_bytes()
    return identity(certificate, Secret(security.private_key, home.directory).read().encode())
