"""A repository of manifests, and a reader that follows it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from reconciler.gitsource.reader import GitReader
from reconciler.gitsource.remote import Remote
from reconciler.model import Desired
from tests.repository import Repository
from tests.waiting import wait_until


def manifest(name: str, interval: str = "1s", extra: str = "") -> str:
    return f"""apiVersion: daq/v1
kind: Collector
metadata: {{name: {name}}}
spec:
  type: modbus
  interval: {interval}
  devices: [{{host: 10.0.0.1}}]
  tags: [{{name: t, address: 40001, type: int16}}]
{extra}"""


def program(name: str, extra: str = "") -> str:
    return (
        f"apiVersion: daq/v1\nkind: Collector\nmetadata: {{name: {name}}}\n"
        f"spec:\n  type: exec\n  command: [bin/{name}]\n{extra}"
    )


class World:
    """A repository and a reader that follows it."""

    def __init__(self, tmp_path: Path) -> None:
        self.repository = Repository(tmp_path / "plant")
        self.directory = tmp_path / "state"
        self.remote = Remote(str(self.repository.root))
        self.now = 1000.0
        self.reader = GitReader(self.remote, self.directory)

    def settle(self, *, force: bool = False) -> Desired:
        self.reader.refresh(force=force)
        desired = wait_until(self.settled, "a fetch", 15)
        assert desired is not None
        return desired

    def settled(self) -> Desired | None:
        desired = self.reader.read(self.now)
        return desired if desired.look_at is None else None

    def restart(self, **changed: object) -> None:
        self.reader.close()
        self.remote = replace(self.remote, **changed)  # type: ignore[arg-type]
        self.reader = GitReader(self.remote, self.directory)


def names(desired: Desired) -> set[str]:
    return set(desired.manifests) - {"local"}
