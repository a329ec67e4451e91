"""The fleet file, and which of its nodes runs which collector. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from reconciler.case import selects
from reconciler.model import Desired, Manifest, Node

KEYS = frozenset({"url", "labels", "token"})


class FleetError(ValueError):
    """A fleet file that says something else than it should; the message says where."""


@dataclass(frozen=True, slots=True)
class Host:
    """A node, where its endpoint is, and the reference to its token, if it wants one."""

    node: Node
    url: str
    token: Mapping[str, str] | None = None


def parse_fleet(value: Any) -> list[Host]:
    """Hosts in the order of the file. Raises FleetError."""
    if not isinstance(value, Mapping) or not value:
        raise FleetError(
            "is no mapping of names to hosts; write for example edge-1: {url: 'http://10.0.0.11:8000'}"
        )
    return [_host(str(name), given) for name, given in value.items()]


def _host(name: str, given: Any) -> Host:
    if not isinstance(given, Mapping) or not isinstance(given.get("url"), str):
        raise FleetError(f"{name}: has no url; write for example {name}: {{url: 'http://10.0.0.11:8000'}}")
    if unknown := given.keys() - KEYS:
        raise FleetError(
            f"{name}: {min(map(str, unknown))} is unknown; known here: {', '.join(sorted(KEYS))}"
        )
    if not given["url"].startswith(("http://", "https://")):
        raise FleetError(f"{name}: {given['url']!r} is no http or https address")
    labels = given.get("labels") or {}
    token = given.get("token")
    if not isinstance(labels, Mapping) or not all(isinstance(v, str) for v in labels.values()):
        raise FleetError(f"{name}: labels are texts; put numbers in quotes")
    if token is not None and (not isinstance(token, Mapping) or set(token) not in ({"env"}, {"file"})):
        raise FleetError(f"{name}: a token never stands here; write {{env: NAME}} or {{file: PATH}}")
    return Host(Node(name, dict(labels)), given["url"].rstrip("/"), token)


def placement(desired: Desired, hosts: list[Host]) -> Iterator[tuple[Manifest, tuple[str, ...]]]:
    """Each wanted collector and the nodes that would run it, in name order."""
    for _, manifest in sorted(desired.manifests.items()):
        if manifest.kind == "Collector" and manifest.running:
            yield manifest, tuple(h.node.name for h in hosts if selects(manifest, h.node))


def doubts(desired: Desired, hosts: list[Host]) -> Iterator[str]:
    """A sentence for each collector that no node runs, or more than one."""
    for manifest, nodes in placement(desired, hosts):
        written = ", ".join(f"{k}={v}" for k, v in manifest.node_selector.items())
        if not nodes:
            yield f"{manifest.name}: no node runs it; nodeSelector {written} matches none of {len(hosts)}"
        elif len(nodes) > 1 and manifest.type != "exec":
            why = f"nodeSelector {written} matches them all" if written else "it has no nodeSelector"
            yield f"{manifest.name}: {len(nodes)} nodes run it ({', '.join(nodes)}), each polling its devices; {why}"


def moves(before: Desired, after: Desired) -> Iterator[str]:
    """A sentence for each collector that one commit both takes from a host and gives to another.

    Hosts fetch at different times, so for a while both, or neither, would run it.
    """
    advice = "commit state: stopped first, and the new host once the old one has stopped it"
    for name, new in sorted(after.manifests.items()):
        old = before.manifests.get(name)
        if old and old.running and new.running and old.node_selector != new.node_selector:
            yield f"{name} moves to another host in one commit: two hosts may run it for a while; {advice}"
    gone = {n: m for n, m in before.manifests.items() if m.running and n not in after.manifests}
    for name, new in sorted(after.manifests.items()):
        if name in before.manifests or not new.running:
            continue
        for other, old in sorted(gone.items()):
            if old.node_selector != new.node_selector and (shared := addresses(old) & addresses(new)):
                yield f"{other} becomes {name} on another host, and both read {min(shared)}; {advice}"


def addresses(manifest: Manifest) -> frozenset[str]:
    """Where its devices are, as written."""
    defaults = manifest.spec.get("deviceDefaults", {})
    devices = [{**defaults, **device} for device in manifest.spec.get("devices", ())]
    return frozenset(str(d["url"]) if "url" in d else f"{d.get('host')}:{d.get('port', '')}" for d in devices)
