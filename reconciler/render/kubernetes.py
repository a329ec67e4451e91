"""The same manifests for a cluster: one StatefulSet a collector.

Its pod runs `daq run` on a ConfigMap that holds this collector and its sinks, so collector and senders stand beside
each other on one volume with the outbox, and everything that holds on a host holds in the pod. One replica of a
StatefulSet is replaced only once it is gone: a device never has two pollers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from collectors.contract import parse_size
from reconciler.desired.yamltext import resolve
from reconciler.model import LOCAL_SINK, Desired, Manifest

HOME = "/var/lib/daq"
MANIFESTS = "/etc/daq/desired"
SECRET = "daq"
UID = 1000
GIB, MIB = 1 << 30, 1 << 20

LOOP_BYTES = 192 * MIB
"""What the loop and a sender take beside a collector."""
OUTBOX_BYTES = 256 * MIB
DATABASE_BYTES = 2 * GIB
"""Of the embedded database, where a collector writes to it."""
ENDING_S = 30.0
"""For the loop to end after its collectors."""

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")

Object = dict[str, Any]


class RenderError(ValueError):
    """A manifest that has no equal in a cluster; the message says which and what to write instead."""


def kubernetes(desired: Desired, image: str) -> dict[str, str]:
    """Files by name, one for each collector and one for what they share; equal for equal manifests.

    Raises RenderError.
    """
    collectors = [m for _, m in sorted(desired.manifests.items()) if m.kind == "Collector"]
    files, names = {"daq.yaml": _text([_service()])}, dict[str, str]()
    for manifest in collectors:
        name = _name(manifest.name)
        if (other := names.setdefault(name, manifest.name)) != manifest.name:
            raise RenderError(f"cannot render {manifest.name} beside {other}: both are {name} in a cluster")
        sinks = [desired.manifests[s] for s in desired.sinks_of(manifest)]
        files[f"{name}.yaml"] = _text([_config_map(manifest, sinks), _stateful_set(manifest, sinks, image)])
    return files


def _service() -> Object:
    """A StatefulSet wants one; it gives each pod a name in DNS."""
    spec = {
        "clusterIP": "None",
        "selector": {"app.kubernetes.io/name": "daq"},
        "ports": [{"name": "http", "port": 8000}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata("daq", {}), "spec": spec}


def _config_map(manifest: Manifest, sinks: list[Manifest]) -> Object:
    data = {f"{m.name}.yaml": _document(m) for m in (manifest, *sinks) if m.name != LOCAL_SINK}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(*_of(manifest)), "data": data}


def _stateful_set(manifest: Manifest, sinks: list[Manifest], image: str) -> Object:
    name, labels = _of(manifest)
    selector = {"app.kubernetes.io/name": "daq", "app.kubernetes.io/instance": name}
    pod: Object = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": UID, "runAsGroup": UID, "fsGroup": UID},
        "terminationGracePeriodSeconds": int(manifest.stop.grace_s + ENDING_S),
        "containers": [_container(manifest, sinks, image)],
        "volumes": [
            {"name": "manifests", "configMap": {"name": name}},
            {"name": "tmp", "emptyDir": {}},
        ],
    }
    if manifest.node_selector:
        pod["nodeSelector"] = dict(manifest.node_selector)
    claim = {
        "metadata": {"name": "state"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{_storage_gib(manifest, sinks)}Gi"}},
        },
    }
    spec = {
        "serviceName": "daq",
        "replicas": 1 if manifest.running else 0,
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": {**labels, **selector}}, "spec": pod},
        "volumeClaimTemplates": [claim],
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": _metadata(name, labels), "spec": spec}


def _container(manifest: Manifest, sinks: list[Manifest], image: str) -> Object:
    labels = [f"--label={key}={value}" for key, value in manifest.node_selector.items()]
    memory = (manifest.resources.memory_bytes or 320 * MIB) + LOOP_BYTES
    return {
        "name": "daq",
        "image": image,
        "args": ["run", "--stop-on-exit", f"--desired={MANIFESTS}", "--listen=0.0.0.0:8000", *labels],
        "env": [{"name": "DAQ_STATE_DIR", "value": HOME}, *_secrets(manifest, sinks)],
        "ports": [{"name": "http", "containerPort": 8000}],
        "startupProbe": _probe("daq", "health", period_s=2, failures=60),
        "livenessProbe": _probe("daq", "health", period_s=30, failures=3),
        "readinessProbe": _probe("daq", "health", "--name", manifest.name, period_s=10, failures=3),
        "resources": {
            "requests": {"cpu": "20m", "memory": "128Mi"},
            "limits": {"memory": f"{-(-memory // MIB)}Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "state", "mountPath": HOME},
            {"name": "manifests", "mountPath": MANIFESTS, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }


def _probe(*command: str, period_s: int, failures: int) -> Object:
    return {
        "exec": {"command": list(command)},
        "periodSeconds": period_s,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }


def _secrets(manifest: Manifest, sinks: list[Manifest]) -> list[Object]:
    """A variable for each ``{env: NAME}``, out of the Secret `daq`."""
    names = sorted({name for m in (manifest, *sinks) for name in _references(m.name, m.spec)})
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


def _storage_gib(manifest: Manifest, sinks: list[Manifest]) -> int:
    wanted = parse_size(manifest.spec.get("buffer", {}).get("maxBytes", f"{OUTBOX_BYTES // MIB}MiB"))
    wanted += sum(DATABASE_BYTES for sink in sinks if sink.type == "sqlite")
    return -(-(wanted + GIB) // GIB)


def _document(manifest: Manifest) -> str:
    metadata: Object = {"name": manifest.name}
    if manifest.title:
        metadata["title"] = manifest.title
    metadata |= {
        k: dict(v) for k, v in (("labels", manifest.labels), ("annotations", manifest.annotations)) if v
    }
    spec = {key: value for key, value in manifest.spec.items() if key != "state"}
    return _text([{"apiVersion": "daq/v1", "kind": manifest.kind, "metadata": metadata, "spec": spec}])


def _of(manifest: Manifest) -> tuple[str, dict[str, str]]:
    """Its name in a cluster, and those of its labels that a cluster takes."""
    labels = {k: v for k, v in manifest.labels.items() if _LABEL.fullmatch(k) and k and _LABEL.fullmatch(v)}
    return _name(manifest.name), labels


def _metadata(name: str, labels: Mapping[str, str]) -> Object:
    return {
        "name": name,
        "labels": {**labels, "app.kubernetes.io/name": "daq", "app.kubernetes.io/instance": name},
    }


def _name(name: str) -> str:
    """Names of a cluster have no underscores (RFC 1123), and a StatefulSet's pods add to them."""
    return name.replace("_", "-")[:52].rstrip("-")


class _Dumper(yaml.SafeDumper):
    """Texts of several lines as blocks; equal parts written again, never as an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None if isinstance(resolve(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)


def _text(objects: list[Object]) -> str:
    return yaml.dump_all(objects, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=110)
