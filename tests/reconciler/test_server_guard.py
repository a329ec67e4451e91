"""Who is answered: right host, no foreign page, right token."""

from __future__ import annotations

import logging
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from reconciler.server.address import Address
from reconciler.server.listener import Server
from tests.reconciler.serving import LOOPBACK, UPGRADE, Served, served, status

TOKEN = "a-very-secret-token"


def refused_feed(endpoint: Served, **more: Any) -> int:
    """The HTTP code with which a WebSocket is refused."""
    with pytest.raises(InvalidStatus) as caught, endpoint.listen(**more):
        pass
    return caught.value.response.status_code


def token_file(root: Path, text: str = f"{TOKEN}\n") -> Path:
    path = root / "token"
    path.write_text(text)
    return path


def test_only_names_of_this_machine_are_answered(tmp_path: Path) -> None:
    with served(tmp_path, status("press"), allowed_hosts=("Plant.Example",)) as endpoint:
        port = endpoint.port
        machine = socket.gethostname()
        for host in (
            f"127.0.0.1:{port}",
            f"localhost:{port}",
            "LOCALHOST",
            "localhost.",
            f"[::1]:{port}",
            f"{machine}:{port}",
            "plant.example",
        ):
            assert endpoint.get("/api/processes", Host=host).code == 200, host
        for host in (
            "evil.example",
            f"evil.example:{port}",
            "127.0.0.1.evil.example",
            "10.0.0.7",
            "",
            "x@127.0.0.1:y",
            "[::1",
        ):
            answer = endpoint.get("/api/processes", Host=host)
            assert answer.code == 403, host
            assert "--allowed-host" in answer.json["detail"]


def test_pages_of_other_sites_are_refused(tmp_path: Path) -> None:
    with served(tmp_path, status("press"), allowed_hosts=("plant.example",)) as endpoint:
        port = endpoint.port
        for origin in (f"http://127.0.0.1:{port}", f"http://localhost:{port}", "https://plant.example"):
            assert endpoint.get("/api/processes", Origin=origin).code == 200, origin
            with endpoint.listen(origin=origin) as feed:
                assert "process_status_update" in str(feed.recv())
        for origin in (
            "http://evil.example",
            f"http://evil.example:{port}",
            "null",
            f"http://127.0.0.1:{port + 1}",
            "file://",
            f"ftp://127.0.0.1:{port}",
            "http://[::1",
        ):
            assert endpoint.get("/api/processes", Origin=origin).code == 403, origin
            assert refused_feed(endpoint, origin=origin) == 403
        assert "--allowed-host" in endpoint.get("/", Origin="http://evil.example").json["detail"]


def test_a_rebound_name_opens_no_feed(tmp_path: Path) -> None:
    with (
        served(tmp_path, status("press")) as endpoint,
        socket.create_connection((LOOPBACK, endpoint.port)) as raw,
    ):
        raw.sendall(UPGRADE.replace(b"localhost", b"evil.example"))
        assert raw.recv(100).startswith(b"HTTP/1.1 403")


def test_with_a_token_only_what_tells_nothing_is_open(tmp_path: Path) -> None:
    with served(tmp_path, status("press"), token_file=token_file(tmp_path)) as endpoint:
        for path in ("/", "/livez", "/readyz", "/livez/"):
            assert endpoint.get(path).code == 200
        assert endpoint.get("/assets/nix.js").code == 404
        for path in ("/api/processes", "/metrics", "/openapi.json", "/version", "/nowhere", "/api/diff"):
            refused = endpoint.get(path)
            assert refused.code == 401
            assert refused.headers["www-authenticate"].startswith("Bearer")
            assert TOKEN not in refused.json["detail"]
            assert endpoint.get(path, Authorization=f"Bearer {TOKEN}").code != 401
        for shown in (
            f"Basic {TOKEN}",
            "Bearer ",
            f"Bearer {TOKEN}x",
            TOKEN,
            f"Bearer {TOKEN[:-1]}",
            "Bearer ü",
        ):
            assert endpoint.get("/api/processes", Authorization=shown).code == 401
        assert endpoint.get("/api/processes", "POST").code == 401


def test_the_feed_takes_the_token_as_a_subprotocol(tmp_path: Path) -> None:
    with served(tmp_path, status("press"), token_file=token_file(tmp_path)) as endpoint:
        with endpoint.listen(subprotocols=["daq.bearer", TOKEN]) as feed:
            assert feed.subprotocol == "daq.bearer"
            assert "process_status_update" in str(feed.recv())
        with endpoint.listen(additional_headers={"Authorization": f"Bearer {TOKEN}"}) as feed:
            assert "process_status_update" in str(feed.recv())
        assert refused_feed(endpoint) == 401
        assert refused_feed(endpoint, subprotocols=["daq.bearer", "wrong"]) == 401
        assert refused_feed(endpoint, subprotocols=[TOKEN]) == 401


def test_a_changed_token_is_in_force_at_once_and_a_broken_one_never(tmp_path: Path) -> None:
    path = token_file(tmp_path)
    with served(tmp_path, status("press"), token_file=path) as endpoint:

        def code(token: str) -> int:
            return endpoint.get("/version", Authorization=f"Bearer {token}").code

        path.write_text("another-secret-token")
        assert (code(TOKEN), code("another-secret-token")) == (401, 200)
        path.write_text("")
        assert (code(""), code("another-secret-token")) == (401, 200)
        path.unlink()
        assert (code(""), code("another-secret-token")) == (401, 200)


@pytest.mark.parametrize("text", ["", "short", "has blanks in it", "ünsafe-letters", "two-lines\nof-them"])
def test_a_token_that_cannot_be_shown_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    path = token_file(tmp_path, text)
    with pytest.raises(OSError, match=r"cannot use the token in .*openssl rand -hex 32"):
        Served(tmp_path, token_file=path)
    with pytest.raises(OSError, match=r"cannot read the token in .*nowhere: No such file"):
        Served(tmp_path, token_file=tmp_path / "nowhere")


def test_every_answer_has_the_headers_that_keep_a_browser_safe(tmp_path: Path) -> None:
    with served(tmp_path, status("press"), token_file=token_file(tmp_path)) as endpoint:
        for path in ("/", "/livez", "/api/processes", "/nowhere"):
            headers = endpoint.get(path).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "frame-ancestors 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers


def test_listening_beyond_loopback_without_a_token_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def warned(**more: Any) -> bool:
        caplog.clear()
        endpoint = Served(tmp_path, **more)
        endpoint.server.close()
        return any("--api-token-file" in r.message for r in caplog.records if r.levelno == logging.WARNING)

    assert warned(host="0.0.0.0")
    assert not warned(host="0.0.0.0", token_file=token_file(tmp_path))
    assert not warned(host="127.0.0.1")


def test_on_all_addresses_the_one_that_was_reached_is_ours(tmp_path: Path) -> None:
    with served(tmp_path, status("press"), host="0.0.0.0") as endpoint:
        assert endpoint.get("/livez", Host="127.0.0.1").code == 200
        assert endpoint.get("/livez", Host="0.0.0.0").code == 403
        assert endpoint.get("/livez", Host="10.1.2.3").code == 403


def test_https_with_a_certificate(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([*made, *subject, *files], check=True, capture_output=True)
    with served(tmp_path, status("press"), certificate=certificate, key=key) as endpoint:
        assert endpoint.server.url.startswith("https://")
        trusting = ssl.create_default_context(cafile=str(certificate))
        url = f"https://localhost:{endpoint.port}/api/processes"
        with urllib.request.urlopen(url, context=trusting, timeout=10) as answer:
            assert answer.status == 200
        with endpoint.listen(ssl=trusting, origin=f"https://localhost:{endpoint.port}") as feed:
            assert "process_status_update" in str(feed.recv())
    key.write_text("nonsense")
    with pytest.raises(OSError, match=r"cannot use the certificate .*cert.pem and its key .*key.pem"):
        Served(tmp_path, certificate=certificate, key=key)


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with served(tmp_path) as endpoint, pytest.raises(OSError, match=r"cannot listen on 127.0.0.1:"):
        Server(endpoint.publisher, Address(LOOPBACK, endpoint.port))
