"""Real time-series servers on loopback: Debian's influxd 1.6 (api v1) and victoria-metrics (api v2)."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tests.programs import program
from tests.waiting import wait_until


def _number(text: str) -> float:
    """What InfluxDB writes without a fraction may be a float, and -0 is one that has a sign."""
    return -0.0 if text == "-0" else int(text)


class Server:
    """A database server in `folder`; :meth:`stop` and :meth:`start` are an outage, its data stays."""

    def __init__(self, argv: list[str], port: int, ready: str, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._argv = argv
        self._ready = ready
        self._output = folder / "output.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._output.open("ab") as log:
            self._process = process = subprocess.Popen(self._argv, stdout=log, stderr=log)

        def up() -> bool:
            assert process.poll() is None, self._output.read_text()
            try:
                return self.get(self._ready) is not None
            except OSError:
                return False

        wait_until(up, f"{self._argv[0]} to answer")

    def stop(self) -> None:
        """End it and wait for its end."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def get(self, path: str, **query: str) -> bytes:
        """Body of an answer. Raises OSError."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            body: bytes = answer.read()
            return body


class Influx(Server):
    """influxd, with InfluxQL read-back."""

    def query(self, text: str, database: str = "") -> list[dict[str, Any]]:
        """Rows of all series of one statement, times in ns."""
        data = urllib.parse.urlencode({"db": database, "q": text, "epoch": "ns"}).encode()
        with urllib.request.urlopen(f"{self.url}/query", data, timeout=10) as answer:
            (result,) = json.load(answer, parse_int=_number)["results"]
        assert "error" not in result, result
        return [
            {**series.get("tags", {}), **dict(zip(series["columns"], row, strict=True))}
            for series in result.get("series", ())
            for row in series["values"]
        ]

    def count(self, database: str, measurement: str) -> int:
        """Stored field values of a measurement."""
        rows = self.query(f'SELECT count(*) FROM "{measurement}"', database)
        return sum(n or 0 for row in rows for key, n in row.items() if key.startswith("count_"))


class Victoria(Server):
    """victoria-metrics; ``export`` sees samples up to 2 s after they were written."""

    def export(self, match: str) -> dict[str, dict[int, float]]:
        """Values by time in ms, by metric name; series of one name are put together."""
        self.get("/internal/force_flush")
        found: dict[str, dict[int, float]] = {}
        for line in self.get("/api/v1/export", **{"match[]": match}).splitlines():
            series = json.loads(line)
            pairs = zip(series["timestamps"], series["values"], strict=True)
            found.setdefault(series["metric"]["__name__"], {}).update(pairs)
        return found


S = TypeVar("S", bound=Server)


@contextmanager
def influxd(folder: Path) -> Iterator[Influx]:
    """A running influxd. Skips where it is not installed, fails with CI=true."""
    executable = program("influxd")
    port, rpc = free_ports(2)
    config = subprocess.run([executable, "config"], capture_output=True, text=True, check=True).stdout
    lines = []
    section = ""
    for line in config.splitlines():
        section = line.strip() if line.startswith("[") else section
        key = line.split("=")[0].strip()
        value = {
            ("", "reporting-disabled"): "true",
            ("", "bind-address"): f'"127.0.0.1:{rpc}"',
            ("[http]", "bind-address"): f'"127.0.0.1:{port}"',
            ("[http]", "log-enabled"): "false",
            ("[meta]", "dir"): f'"{folder}/meta"',
            ("[data]", "dir"): f'"{folder}/data"',
            ("[data]", "wal-dir"): f'"{folder}/wal"',
        }.get((section, key))
        lines.append(f"{key} = {value}" if value else line)
    path = folder / "influxd.conf"
    path.write_text("\n".join(lines))
    yield from _running(Influx([executable, "run", "-config", str(path)], port, "/ping", folder))


@contextmanager
def victoria_metrics(folder: Path) -> Iterator[Victoria]:
    """A running victoria-metrics. Skips where it is not installed, fails with CI=true."""
    executable = program("victoria-metrics")
    (port,) = free_ports(1)
    options = [f"-storageDataPath={folder}/data", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=5y"]
    yield from _running(Victoria([executable, *options], port, "/health", folder))


def _running(server: S) -> Iterator[S]:
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports
