"""One old process as an exec Collector, and its way of being restarted."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from posixpath import isabs, join, normpath
from typing import Any

from reconciler.legacy.text import LegacyError, Manifest, Noted, integer, is_secret, left_over, seconds

OLD_COLLECTORS = ("modbustcp_influx", "opcua_influx", "melseca1enet_influx")
KNOWN = {
    "type", "command", "config_file", "working_directory", "auto_restart", "max_restarts", "restart_delay",
    "environment",
}  # fmt: skip

Given = Mapping[str, Any]


def is_old_collector(process: Given, where: str) -> bool:
    """Whether it ran one of the collectors that are built in now. Raises LegacyError."""
    return any(part.endswith(OLD_COLLECTORS) for part in command_of(process, where))


def command_of(process: Given, where: str) -> list[str]:
    """Its command as a list. Raises LegacyError."""
    command = process.get("command")
    if isinstance(command, str) and command:
        return shlex.split(command)
    if isinstance(command, list) and command and all(isinstance(part, str) for part in command):
        return [str(part) for part in command]
    raise LegacyError(f'{where}.command: is missing; write for example ["python", "print_labels.py"]')


def restart_of(process: Given, where: str) -> Noted | None:
    """``spec.restart``: never, or after the same delay every time, `max_restarts` times in all. Raises LegacyError."""
    restart: dict[str, Any] = {}
    if "restart_delay" in process:
        delay = seconds(process["restart_delay"], f"{where}.restart_delay")
        restart = {"delay": delay, "maxDelay": delay}
    if "max_restarts" in process:
        attempts = integer(process["max_restarts"], f"{where}.max_restarts")
        restart |= {"maxRestarts": attempts, "window": "0s"}
    why = "auto_restart" if not process.get("auto_restart", True) else "max_restarts"
    if why == "auto_restart" or restart.get("maxRestarts") == 0:
        moot = [f"{key}: {process[key]}" for key in ("max_restarts", "restart_delay") if key in process]
        moot = [text for text in moot if not text.startswith(why)]
        because = f"never, for {why} is {json.dumps(process[why])}; without effect then: {', '.join(moot)}"
        return Noted({"policy": "never"}, (because,) if moot else ())
    return Noted(restart, ()) if restart else None


def as_built_in(manifest: Manifest, process: Given, where: str) -> Manifest:
    """A Collector made from the process's configuration, restarted as the process was. Raises LegacyError."""
    if restart := restart_of(process, where):
        manifest.spec["restart"] = restart
    given = {k: v for k, v in process.items() if not (k == "working_directory" and v == ".")}
    manifest.notes += left_over(given.pop("environment", {}), (), "environment.")
    manifest.notes += left_over(given, KNOWN - {"working_directory"}, "")
    return manifest


def as_exec(name: str, process: Given, where: str) -> Manifest:
    """The program as it is. Raises LegacyError."""
    command = command_of(process, where)
    notes = []
    if command[0] in ("python", "python3"):
        notes.append(
            "CHECK command: python is the one daq runs on; write the path of the one with your modules"
        )
    spec: dict[str, Any] = {"type": "exec", "command": command}
    directory = str(process.get("working_directory") or ".")
    if directory != ".":
        spec["workingDirectory"] = directory
    if process.get("config_file"):
        config = str(process["config_file"])
        if is_old_collector(process, where):
            notes.append(f"CHECK: give {config} to daq import too, and this becomes a built-in collector")
        spec["configFiles"] = [config if isabs(config) else normpath(join(directory, config))]
    if environment := process.get("environment"):
        spec["env"] = {k: {"env": k} if is_secret(k) else str(v) for k, v in environment.items()}
        secrets = [key for key in environment if is_secret(key)]
        notes += [f"set {key} in the environment of daq; no secret stands in a manifest" for key in secrets]
    if restart := restart_of(process, where):
        spec["restart"] = restart
    return Manifest("Collector", name, spec, [*notes, *left_over(process, KNOWN, "")])
