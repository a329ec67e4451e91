"""Certificates, trust, users: against a server that rejects whom it does not know."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest

from collectors.model import LinkLostError
from collectors.protocols.opcua_pki import Pki, read_certificate
from collectors.session import Sample
from tests.collectors.opcua_server import Peer, Running, node, running
from tests.collectors.relay import relayed
from tests.collectors.running import collecting, until
from tests.collectors.test_opcua_collecting import source, spec

TAG = {"name": "x", "node": node("Still.Int")}
POLICIES = ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss")
SECURE = {"policy": "Basic256Sha256", "mode": "SignAndEncrypt"}
PASSWORD = "grüße-42"


@pytest.fixture(scope="module", params=get_args(Peer))
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that wants a user and a certificate it trusts."""
    trusted = tmp_path_factory.mktemp("server-trusts")
    with running(request.param, trusted=str(trusted), user="daq", password=PASSWORD) as server:
        yield server


@pytest.fixture
def secret(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "password").write_text(PASSWORD + "\n", "utf-8")
    return {"name": "daq", "password": {"file": "password"}}


async def opened(url: str, root: Path, **device: Any) -> Sequence[Sample]:
    """The first samples of a session. Raises LinkLostError."""
    found = source(url, root, TAG, **device)
    try:
        return await found.open()
    finally:
        await found.close()


def trust(root: Path) -> None:
    """What a person does with rejected servers."""
    pki = root / "pki"
    for path in (pki / "rejected").iterdir():
        path.rename(pki / "trusted" / path.name)


def test_both_sides_learn_to_trust_each_other_without_a_restart(
    tmp_path: Path, guarded: Running, secret: dict[str, Any]
) -> None:
    (tmp_path / "state").mkdir()

    def said(process: Any) -> str:
        report = process.report()
        return str(report and report.devices[0].last_error)

    async def main() -> None:
        user = {**secret, "password": {"file": str(tmp_path / "password")}}
        written = spec(guarded.url, TAG, security=SECURE, user=user)
        async with collecting(tmp_path / "state", written) as process:
            pki = tmp_path / "state" / "pki"
            await until(lambda: "is not trusted yet" in said(process), "the unknown server is told")
            (rejected,) = (pki / "rejected").iterdir()
            assert str(rejected) in said(process) and str(pki / "trusted") in said(process)
            trust(tmp_path / "state")
            own = pki / "own" / "daq.der"
            await until(lambda: f"import {own} there" in said(process), "the server rejects us")
            guarded.tell(trust=str(own))
            await until(process.rows, "a value")
            assert process.rows()[0][2] == {"x": 5}
            report = (tmp_path / "state" / "reports" / "press.json").read_text()
            assert PASSWORD not in report

    asyncio.run(main())


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
def test_every_policy_and_mode_gives_values(
    tmp_path: Path, guarded: Running, secret: dict[str, Any], policy: str, mode: str
) -> None:
    security = {"policy": policy, "mode": mode}

    async def main() -> None:
        with pytest.raises(LinkLostError, match="is not trusted yet"):
            await opened(guarded.url, tmp_path, security=security, user=secret)
        trust(tmp_path)
        pki = Pki(tmp_path / "pki")
        pki.own("node-1")
        guarded.tell(trust=str(pki.own_certificate))
        (sample,) = await opened(guarded.url, tmp_path, security=security, user=secret)
        assert sample.value == 5

    asyncio.run(main())


def test_a_certificate_of_ones_own_is_used_where_one_is_written(
    tmp_path: Path, guarded: Running, secret: dict[str, Any]
) -> None:
    theirs = Pki(tmp_path / "ca").own("plant")
    (tmp_path / "plant.der").write_bytes(theirs.certificate)
    (tmp_path / "plant.pem").write_bytes(theirs.private_key)
    guarded.tell(trust=str(tmp_path / "plant.der"))
    security = {**SECURE, "certificate": "plant.der", "privateKey": {"file": "plant.pem"}}

    async def main() -> None:
        with pytest.raises(LinkLostError, match="is not trusted yet"):
            await opened(guarded.url, tmp_path, security=security, user=secret)
        trust(tmp_path)
        (sample,) = await opened(guarded.url, tmp_path, security=security, user=secret)
        assert sample.value == 5
        assert not (tmp_path / "pki" / "own").exists()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("user", "reason", "said"),
    [
        ({"name": "daq", "password": {"file": "wrong"}}, "BadUserAccessDenied", "BadUserAccessDenied"),
        (None, "BadIdentityToken", "cannot connect to"),
        ({"name": "daq", "password": {"env": "NO_SUCH"}}, "SecretUnreadable", "NO_SUCH is not set"),
        ({"name": "daq", "password": {"file": "gone"}}, "SecretUnreadable", "No such file"),
    ],
)
def test_a_user_that_is_refused_is_told_without_the_password(
    tmp_path: Path, guarded: Running, user: dict[str, Any] | None, reason: str, said: str
) -> None:
    (tmp_path / "wrong").write_text("not-the-password")

    async def main() -> None:
        with pytest.raises(LinkLostError) as caught:
            await opened(guarded.url, tmp_path, **({"user": user} if user else {}))
        assert said in str(caught.value)
        assert "not-the-password" not in str(caught.value)
        assert caught.value.reason.startswith(reason)

    asyncio.run(main())


def test_a_password_is_hidden_on_an_open_channel_where_the_server_can(
    tmp_path: Path, guarded: Running, secret: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    assert not asyncio.run(password_is_seen(guarded, tmp_path, secret))
    assert "password" not in caplog.text


def test_a_password_that_cannot_be_hidden_is_warned_of_once(
    tmp_path: Path, secret: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with running(user="daq", password=PASSWORD, policies=["NoSecurity"]) as server:
        assert asyncio.run(password_is_seen(server, tmp_path, secret))
    assert caplog.text.count("the password went over the network as it is") == 1
    assert PASSWORD not in caplog.text


async def password_is_seen(server: Running, root: Path, user: dict[str, Any]) -> bool:
    """Whether it goes over an open channel as it is, in two sessions of one collector."""
    async with relayed(server.port) as relay:
        found = source(f"opc.tcp://127.0.0.1:{relay.port}", root, TAG, user=user)
        for _ in range(2):
            (sample,) = await found.open()
            assert sample.value == 5
            await found.close()
        return PASSWORD.encode() in relay.asked


def test_an_endpoint_that_the_server_has_not_is_told_with_those_it_has(tmp_path: Path) -> None:
    async def main() -> None:
        with running("node-opcua", policies=["None"]) as server:
            with pytest.raises(LinkLostError) as caught:
                await opened(server.url, tmp_path, security=SECURE)
            said = "it has no endpoint Basic256Sha256/SignAndEncrypt, only None/None"
            assert str(caught.value).endswith(said)

    asyncio.run(main())


def test_the_nodes_certificate_is_made_once_and_its_key_is_private(tmp_path: Path) -> None:
    first, again = Pki(tmp_path).own("edge-3"), Pki(tmp_path).own("edge-3")
    assert first == again
    assert first.uri == "urn:edge-3:daq"
    assert read_certificate((tmp_path / "own" / "daq.der").read_bytes()).not_valid_after_utc.year > 2030
    assert stat.S_IMODE((tmp_path / "own" / "daq.pem").stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_root_makes_no_key_that_the_owner_of_a_state_directory_cannot_read(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    with pytest.raises(PermissionError, match="it belongs to uid 12345"):
        Pki(tmp_path / "pki").own("edge-3")
    assert not (tmp_path / "pki").exists()


def test_a_file_that_is_no_certificate_is_passed_over(tmp_path: Path) -> None:
    pki, other = Pki(tmp_path / "pki"), Pki(tmp_path / "other").own("other")
    rejected = pki.reject(other.certificate)
    assert not pki.is_trusted(other.certificate)
    (pki.trusted / "notes.txt").write_text("not a certificate")
    rejected.rename(pki.trusted / rejected.name)
    assert pki.is_trusted(other.certificate)
