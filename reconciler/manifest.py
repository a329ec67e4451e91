"""A manifest as a value, and as the JSON that is kept of its last good version. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.contract import Kind, parse_duration, parse_size
from reconciler.digest import digest
from reconciler.model import LOCAL_SINK, Applied, HealthPolicy, Manifest, Resources, RestartPolicy, StopPolicy

SENDER_MAX_DELAY = "5s"
"""A sender is tried again at least this often."""


def manifest_of(
    kind: Kind, path: str, line: int, metadata: Mapping[str, Any], spec: Mapping[str, Any], *, digest_of: str
) -> Manifest:
    """A manifest from the parts of a valid document; `spec` normalised, point tables merged."""
    restart = {"maxDelay": SENDER_MAX_DELAY} if kind == "Sink" else spec.get("restart", {})
    return Manifest(
        kind=kind,
        name=metadata["name"],
        path=path,
        line=line,
        spec=spec,
        digest=digest_of,
        title=metadata.get("title"),
        labels=metadata.get("labels", {}),
        annotations=metadata.get("annotations", {}),
        restart=_restart(restart),
        stop=_stop(spec.get("stop", {})),
        health=_health(spec.get("health", {})),
        resources=_resources(spec.get("resources", {})),
    )


def local_sink() -> Manifest:
    """The embedded database, which exists without a manifest."""
    spec = {"type": "sqlite"}
    return manifest_of("Sink", "", 0, {"name": LOCAL_SINK}, spec, digest_of=digest("Sink", LOCAL_SINK, spec))


def last_good(applied: Applied) -> Manifest:
    """What a name runs or ran last, for one whose manifest is gone."""
    spec, live = applied.spec, applied.live
    metadata = {"name": spec.name, **live.metadata}
    whole = {**spec.spec, **live.spec}
    return manifest_of(spec.kind, "", 0, metadata, whole, digest_of=spec.digest)


def to_json(manifest: Manifest) -> dict[str, Any]:
    """What :func:`from_json` reads back."""
    metadata = {"name": manifest.name, "labels": manifest.labels, "annotations": manifest.annotations}
    if manifest.title is not None:
        metadata["title"] = manifest.title
    return {
        "kind": manifest.kind,
        "line": manifest.line,
        "metadata": metadata,
        "spec": manifest.spec,
        "digest": manifest.digest,
    }


def from_json(path: str, value: Mapping[str, Any]) -> Manifest:
    """Raises KeyError, TypeError or ValueError where the value is no manifest."""
    return manifest_of(
        value["kind"], path, value["line"], value["metadata"], value["spec"], digest_of=value["digest"]
    )


def _restart(written: Mapping[str, Any]) -> RestartPolicy:
    standard = RestartPolicy()
    return RestartPolicy(
        policy=written.get("policy", standard.policy),
        delay_s=_seconds(written, "delay", standard.delay_s),
        max_delay_s=_seconds(written, "maxDelay", standard.max_delay_s),
        max_restarts=int(written.get("maxRestarts", standard.max_restarts)),
        window_s=_seconds(written, "window", standard.window_s),
    )


def _stop(written: Mapping[str, Any]) -> StopPolicy:
    standard = StopPolicy()
    return StopPolicy(written.get("signal", standard.signal), _seconds(written, "grace", standard.grace_s))


def _health(written: Mapping[str, Any]) -> HealthPolicy:
    standard = HealthPolicy()
    return HealthPolicy(
        start_timeout_s=_seconds(written, "startTimeout", standard.start_timeout_s),
        stale_after_s=_seconds(written, "staleAfter", standard.stale_after_s),
        log_silence_s=parse_duration(written["logSilence"]) if "logSilence" in written else None,
    )


def _resources(written: Mapping[str, Any]) -> Resources:
    memory = written.get("memory")
    return Resources(None if memory is None else parse_size(memory), written.get("nice"))


def _seconds(written: Mapping[str, Any], key: str, standard: float) -> float:
    return parse_duration(written[key]) if key in written else standard
