"""The same manifests for a cluster: one StatefulSet a collector, whose pod is in pod.py.

Its ConfigMap holds this collector and its sinks, and `daq run` in the pod keeps it as on a host. One replica of a
StatefulSet is replaced only once it is gone: a device never has two pollers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from collectors.contract import DEFAULT_BUFFER, parse_size
from reconciler.desired.yamltext import resolve
from reconciler.model import LOCAL_SINK, Desired, Manifest
from reconciler.render.cautions import cautions
from reconciler.render.pod import PORT, SERVICE, Object, RenderError, name_of, pod

GIB = 1 << 30
DATABASE_BYTES = 2 * GIB
"""Of the embedded database, where a collector writes to it."""
CHECK = "# CHECK "

_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")


def kubernetes(desired: Desired, image: str) -> dict[str, str]:
    """Files by name, one for each collector and one for what they share; equal for equal manifests. What a person
    should check stands at the head of its file.

    Raises RenderError.
    """
    collectors = [m for _, m in sorted(desired.manifests.items()) if m.kind == "Collector"]
    files, names = {"daq.yaml": _text([_service()])}, dict[str, str]()
    for manifest in collectors:
        name = name_of(manifest.name)
        if (other := names.setdefault(name, manifest.name)) != manifest.name:
            raise RenderError(f"cannot render {manifest.name} beside {other}: both are {name} in a cluster")
        sinks = [desired.manifests[s] for s in desired.sinks_of(manifest)]
        head = "".join(f"{CHECK}{text}\n" for text in cautions(manifest, sinks))
        objects = [_config_map(manifest, sinks), _stateful_set(manifest, sinks, image)]
        files[f"{name}.yaml"] = head + _text(objects)
    return files


def _service() -> Object:
    """A StatefulSet wants one; it gives each pod a name in DNS."""
    spec = {
        "clusterIP": "None",
        "selector": {"app.kubernetes.io/name": "daq"},
        "ports": [{"name": "http", "port": PORT}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": _metadata(SERVICE, {}), "spec": spec}


def _config_map(manifest: Manifest, sinks: list[Manifest]) -> Object:
    data = {f"{m.name}.yaml": _document(m) for m in (manifest, *sinks) if m.name != LOCAL_SINK}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _metadata(*_of(manifest)), "data": data}


def _stateful_set(manifest: Manifest, sinks: list[Manifest], image: str) -> Object:
    name, labels = _of(manifest)
    selector = {"app.kubernetes.io/name": "daq", "app.kubernetes.io/instance": name}
    template: Object = {
        "metadata": {
            "labels": {**labels, **selector},
            "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": str(PORT)},
        },
        "spec": pod(manifest, sinks, image, config_map=name),
    }
    if sinks:  # a sender reads its manifest when it starts
        template["metadata"]["annotations"]["daq/sinks"] = ", ".join(f"{s.name} {s.digest}" for s in sinks)
    claim = {
        "metadata": {"name": "state"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": f"{_storage_gib(manifest, sinks)}Gi"}},
        },
    }
    spec = {
        "serviceName": SERVICE,
        "replicas": 1 if manifest.running else 0,
        "selector": {"matchLabels": selector},
        "template": template,
        "volumeClaimTemplates": [claim],
    }
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": _metadata(name, labels), "spec": spec}


def _storage_gib(manifest: Manifest, sinks: list[Manifest]) -> int:
    wanted = parse_size(manifest.spec.get("buffer", {}).get("maxBytes", DEFAULT_BUFFER["maxBytes"]))
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
    return name_of(manifest.name), labels


def _metadata(name: str, labels: Mapping[str, str]) -> Object:
    return {
        "name": name,
        "labels": {**labels, "app.kubernetes.io/name": "daq", "app.kubernetes.io/instance": name},
    }


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
