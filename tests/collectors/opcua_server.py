"""Real OPC UA servers, each in a process of its own and told what to do over its standard input.

Ours (of asyncua, as the client is) and node-opcua, which shares no code with it, have the same nodes.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from uuid import UUID, uuid4

from asyncua import ua

from collectors.simulate.opcua import Plant, serve
from collectors.simulate.opcua_faults import Faults
from collectors.simulate.opcua_plant import Variable, load
from collectors.simulate.opcua_sessions import Access
from tests.programs import npm_package, program

Peer = Literal["asyncua", "node-opcua"]
NODE_OPCUA = "2.182.2"
NAMESPACE = "urn:daq:simulator"
STILL: Mapping[str, tuple[str, Any]] = {
    "Still.Int": ("Int32", 5),
    "Still.Big": ("UInt64", 2**64 - 1),
    "Still.Byte": ("Byte", 200),
    "Still.Float": ("Float", 1.5),
    "Still.Double": ("Double", 0.1),
    "Still.Nan": ("Double", float("nan")),
    "Still.Bool": ("Boolean", True),
    "Still.Text": ("String", "齿轮 a=b,c"),
    "Still.Bytes": ("ByteString", b"\x00\xff"),
    "Still.Local": ("LocalizedText", "Öl"),
    "Still.Array": ("Double", [1.0, 2.0]),
    "Still.Infinite": ("Float", float("-inf")),
    "Still.Lines": ("String", "two\nlines"),
    "Still.Since": ("DateTime", "2026-01-02T03:04:05.678Z"),
    "Still.Id": ("Guid", "09087e75-8e5e-499b-954f-f2a9603db28a"),
    "Still.Node": ("NodeId", "i=2258"),
    "Still.Status": ("StatusCode", 0x80000000),
    "Still.Empty": ("Double", []),
    "Still.Dead": ("Double", 10.0),
}


def node(path: str) -> str:
    """How a manifest names it."""
    return f"nsu={NAMESPACE};s={path}"


class Running:
    """The process."""

    def __init__(self, peer: Peer, process: subprocess.Popen[str], port: int) -> None:
        self.peer = peer
        self.process = process
        self.port = port
        self.namespace: int = 0
        self.url = f"opc.tcp://127.0.0.1:{port}"

    def tell(self, **command: Any) -> Any:
        """Have it do something; its answer, once it has been done."""
        assert self.process.stdin and self.process.stdout
        print(json.dumps(command), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def freeze(self) -> None:
        """Stop it in its tracks."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


def running(peer: Peer = "asyncua", **options: Any) -> AbstractContextManager[Running]:
    """A server; see :func:`_main` for its options."""
    return _node_opcua(**options) if peer == "node-opcua" else _asyncua(**options)


@contextmanager
def _asyncua(**options: Any) -> Iterator[Running]:
    command = [sys.executable, "-m", "tests.collectors.opcua_server", json.dumps(options)]
    with _spawned("asyncua", command, os.environ) as server:
        yield server


@contextmanager
def _node_opcua(**options: Any) -> Iterator[Running]:
    modules, script = npm_package("node-opcua-server", NODE_OPCUA), Path(__file__).with_name("node_opcua.js")
    with TemporaryDirectory() as pki:
        told = {"pki": pki, "still": {path: _for_js(*held) for path, held in STILL.items()}, **options}
        command = [program("node"), str(script), json.dumps(told)]
        with _spawned("node-opcua", command, {**os.environ, "NODE_PATH": str(modules)}) as server:
            yield server


_MADE = {
    "DateTime": datetime.fromisoformat,
    "Guid": UUID,
    "NodeId": ua.NodeId.from_string,
    "StatusCode": ua.StatusCode,
}


def _for_js(kind: str, value: Any) -> tuple[str, Any]:
    if kind == "ByteString":
        return kind, base64.b64encode(value).decode()
    is_special = kind == "UInt64" or (isinstance(value, float) and not isfinite(value))
    return kind, str(value) if is_special else value


@contextmanager
def _spawned(peer: Peer, command: Sequence[str], environment: Mapping[str, str]) -> Iterator[Running]:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout
        try:
            server = Running(peer, process, int(process.stdout.readline()))
            server.namespace = server.tell(namespace=True)
            yield server
        finally:
            with suppress(ProcessLookupError):
                process.kill()


async def _main(
    *,
    port: int = 0,
    shift: int = 0,
    items: int = 0,
    every_s: float = 0.1,
    max_nodes: int = 0,
    deadbands: bool = True,
    trusted: str | None = None,
    user: str | None = None,
    password: str | None = None,
    policies: list[str] | None = None,
    hidden: list[str] | None = None,
) -> None:
    held = {path: value for path, (_, value) in STILL.items()}
    variables = {path: _still(held, path) for path in STILL if path not in (hidden or ())}
    variables["Moving.Count"] = Variable("Int64", lambda t: int(t / every_s))
    if items:
        variables = dict(load(items, every_s))
    access = Access(tuple(policies or ()), Path(trusted) if trusted else None, user, password)
    faults = Faults(max_nodes=max_nodes, deadbands=deadbands)
    async with serve(
        variables, port=port, every_s=every_s, faults=faults, access=access, shift=shift
    ) as plant:
        print(plant.port, flush=True)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(0, "rb"))
        while line := await reader.readline():
            print(json.dumps(await _do(plant, held, trusted, json.loads(line))), flush=True)


def _still(held: dict[str, Any], path: str) -> Variable:
    kind = STILL[path][0]
    return Variable(kind, lambda _: _MADE[kind](held[path]) if kind in _MADE else held[path])


async def _do(plant: Plant, held: dict[str, Any], trusted: str | None, command: dict[str, Any]) -> Any:
    match command:
        case {"set": path, "to": value}:
            held[path] = value
        case {"bad": paths}:
            plant.faults = replace(plant.faults, bad=frozenset(paths))
        case {"retyped": paths}:
            plant.faults = replace(plant.faults, retyped=frozenset(paths))
        case {"show": path}:
            plant.variables = {**plant.variables, path: _still(held, path)}
            await plant.add_nodes([path])
        case {"delete": path}:
            plant.variables = {p: v for p, v in plant.variables.items() if p != path}
            await plant.server.delete_nodes([plant.server.get_node(plant.node_id(path))])
        case {"faults": faults}:
            plant.faults = Faults(**faults)
            return None
        case {"skip": _}:
            for subscription in plant.server.iserver.subscription_service.subscriptions.values():
                subscription._notification_seq += 1
        case {"end_sessions": _}:
            for session in list(plant.server.iserver._external_sessions.values()):
                await session.close_session(True)
        case {"trust": path}:
            assert trusted
            shutil.copy(path, Path(trusted) / f"{uuid4()}.der")
        case {"namespace": _}:
            return plant.namespace
        case {"sessions": _}:
            return len(plant.server.iserver._external_sessions)
    await plant.move()
    return None


if __name__ == "__main__":
    asyncio.run(_main(**json.loads(sys.argv[1])))
