"""The pod of one collector: the loop that keeps it, and beside it a container for each of its sinks' senders.

They work on one volume, where the outbox is, and none waits for another: a sender that cannot start, for want of its
Secret, holds up no collecting. A sender ends some seconds after it is asked to, so that what was read last still goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler.model import Manifest

VOLUME = "/var/lib/daq"
STATE_DIR = f"{VOLUME}/state"
"""A volume's top belongs to root; what daq makes in it belongs to daq."""
MANIFESTS = "/etc/daq/desired"
SECRET = SERVICE = "daq"
PORT = 8000
UID = 1000
MIB = 1 << 20

LOOP_BYTES = 128 * MIB
"""What the loop takes beside its collector."""
COLLECTOR_BYTES = 320 * MIB
SENDER_BYTES = 256 * MIB
"""Where the manifest has no ``resources.memory``."""
ENDING_S = 30.0
"""For the loop to end after its collector."""
LINGER_S = 3
"""In which a collector ends as a rule, and its last batch is due."""

Object = dict[str, Any]


class RenderError(ValueError):
    """A manifest that has no equal in a cluster; the message says which and what to write instead."""


def pod(manifest: Manifest, sinks: list[Manifest], image: str, config_map: str) -> Object:
    """Its spec. Raises RenderError."""
    containers = [_loop(manifest, image), *(_sender(sink, image) for sink in sinks)]
    if len({each["name"] for each in containers}) < len(containers):
        names = " and ".join(sink.name for sink in sinks)
        raise RenderError(
            f"cannot render {manifest.name}: of its sinks {names} two have one name in a cluster"
        )
    found: Object = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": UID, "runAsGroup": UID, "fsGroup": UID},
        "terminationGracePeriodSeconds": int(max(m.stop.grace_s for m in (manifest, *sinks)) + ENDING_S),
        "containers": containers,
        "volumes": [
            {"name": "manifests", "configMap": {"name": config_map}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    if manifest.node_selector:
        found["nodeSelector"] = dict(manifest.node_selector)
    return found


def _loop(manifest: Manifest, image: str) -> Object:
    labels = [f"--label={key}={value}" for key, value in manifest.node_selector.items()]
    memory = (manifest.resources.memory_bytes or COLLECTOR_BYTES) + LOOP_BYTES
    own = {
        "ports": [{"name": "http", "containerPort": PORT}],
        **_probes(live=("daq", "health"), ready=("daq", "health", "--name", manifest.name)),
    }
    environ = {
        "DAQ_LISTEN": f"0.0.0.0:{PORT}",
        "DAQ_ALLOWED_HOST": f"{name_of(manifest.name)}-0.{SERVICE}",
        "DAQ_SENDERS": "elsewhere",
    }
    arguments = ["run", "--stop-on-exit", *labels]
    return _container(
        manifest, image, name="daq", arguments=arguments, memory=memory, environ=environ, own=own
    )


def _sender(sink: Manifest, image: str) -> Object:
    health = ("daq", "health", "--name", sink.name)
    linger = {"preStop": {"exec": {"command": ["sleep", str(LINGER_S)]}}}
    own = {"lifecycle": linger, **_probes(live=health, ready=health)}
    memory = sink.resources.memory_bytes or SENDER_BYTES
    name, arguments = f"send-{name_of(sink.name)}", ["send", sink.name]
    return _container(sink, image, name=name, arguments=arguments, memory=memory, environ={}, own=own)


def _container(
    manifest: Manifest,
    image: str,
    *,
    name: str,
    arguments: list[str],
    memory: int,
    environ: Mapping[str, str],
    own: Object,
) -> Object:
    places = {"DAQ_DESIRED": MANIFESTS, "DAQ_STATE_DIR": STATE_DIR}
    return {
        "name": name,
        "image": image,
        "args": arguments,
        "env": [*({"name": n, "value": v} for n, v in {**places, **environ}.items()), *_secrets(manifest)],
        **own,
        "resources": {
            "requests": {"cpu": "20m", "memory": "96Mi"},
            "limits": {"memory": f"{-(-memory // MIB)}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "state", "mountPath": VOLUME},
            {"name": "manifests", "mountPath": MANIFESTS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _probes(live: tuple[str, ...], ready: tuple[str, ...]) -> Object:
    return {
        "startupProbe": _probe(live, period_s=2, failures=60),
        "livenessProbe": _probe(live, period_s=30, failures=3),
        "readinessProbe": _probe(ready, period_s=10, failures=3),
    }


def _probe(command: tuple[str, ...], period_s: int, failures: int) -> Object:
    return {
        "exec": {"command": list(command)},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _secrets(manifest: Manifest) -> list[Object]:
    """A variable for each ``{env: NAME}``, out of the Secret `daq`."""
    names = sorted(set(_references(manifest.name, manifest.spec)))
    return [{"name": n, "valueFrom": {"secretKeyRef": {"name": SECRET, "key": n}}} for n in names]


def _references(owner: str, value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if value.keys() == {"env"} and isinstance(value["env"], str):
            yield value["env"]
            return
        if value.keys() == {"file"} and isinstance(value["file"], str):
            raise RenderError(
                f"cannot render {owner}: {{file: {value['file']}}} is on no pod; write {{env: NAME}}"
            )
        value = value.values()
    if not isinstance(value, str) and hasattr(value, "__iter__"):
        for each in value:
            yield from _references(owner, each)


def name_of(name: str) -> str:
    """Names of a cluster have no underscores (RFC 1123), and a StatefulSet's pods add to them."""
    return name.replace("_", "-")[:52].rstrip("-")
