"""Every command in README and docs does what it says: each document's console blocks are one session."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.plant import DAQ, Plant
from tests.programs import program

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TOP = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in (*TOP.glob("README*.md"), *(TOP / "docs").glob("*.md"))
    if "```console" in path.read_text()
)
DEMO_PORTS = ("15020", "15000", "14840")
EMPTY = ("first-manifest.md", "first-manifest.zh-CN.md", "moving.md")
"""Documents that begin in a directory without the demo plant."""
ELSEWHERE = {
    "make": "run and tested by CI itself",
    "sudo": "needs a machine of its own",
    "docker": "needs a container engine",
}
MAY_SAY_1 = ("daq diff", "daq status", "daq doctor", "daq audit")
"""Commands whose exit code 1 is an answer."""


def session(text: str) -> list[str]:
    """The commands of a document's console blocks, in order."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [re.sub(r"\s+# .*", "", line[2:]) for line in lines]


def files(text: str) -> dict[str, str]:
    """The manifests of a document that say in their first line what file they are."""
    found = re.findall(r"```yaml\n# (desired/\S+\.yaml)\n(.*?)```", text, re.DOTALL)
    return dict(found)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_its_commands_run(document: Path, plant: Plant) -> None:
    program("sqlite3")
    ports = {port: str(free_port()) for port in DEMO_PORTS}

    def here(text: str) -> str:
        for port, free in ports.items():
            text = re.sub(rf"\b{port}\b", free, text)
        return text.replace("192.168.1.50", f"127.0.0.1, port: {ports['15020']}")

    text = document.read_text()
    if document.name in EMPTY:
        shutil.rmtree(plant.desired)
        for old in (TOP / "tests" / "cases" / "legacy").iterdir():
            shutil.copy(old, plant.root)
    else:
        shutil.copytree(TOP / "desired", plant.desired, dirs_exist_ok=True)
        for file in plant.desired.glob("*.yaml"):
            file.write_text(here(file.read_text()))
        run_demo(plant)
    environ = {**plant.environ, "PATH": f"{DAQ.parent}:{os.environ['PATH']}"}
    for command in session(text):
        verb = command.split()[0]
        if verb in ELSEWHERE:
            continue
        if verb == "cd":
            plant.root = plant.root / command.split()[1]
            plant.desired, plant.state = plant.root / "desired", plant.root / ".daq"
            for file in plant.desired.glob("*.yaml"):
                file.write_text(here(file.read_text()))
        elif command.startswith("daq run"):
            if plant.loop is None:
                run_demo(plant)
                for path, manifest in files(text).items():
                    (plant.root / path).write_text(here(manifest))
                plant.daq("wait", "--for", "ready")
        else:
            done = subprocess.run(
                ["bash", "-c", here(command)],
                cwd=plant.root,
                env=environ,
                capture_output=True,
                text=True,
                check=False,
            )
            allowed = (0, 1) if command.startswith(MAY_SAY_1) else (0,)
            assert done.returncode in allowed, f"{command}\n{done.stdout}{done.stderr}"
            if command == "daq down":
                assert plant.loop
                plant.loop.wait(timeout=30)
                plant.loop = None
                run_demo(plant)


def run_demo(plant: Plant) -> None:
    """The loop on what is there, until what it starts is healthy or has had its time."""
    plant.start_loop()
    plant.daq("wait", "--for", "healthy", "--timeout", "60s", timeout=90)
