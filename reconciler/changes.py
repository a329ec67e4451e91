"""Which fields of a manifest differ from what an instance was given, and whether that needs a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal

from reconciler.model import Applied, Change, Desired, LiveFile, Manifest

HIDDEN = "changed"
SECRET_KEYS = frozenset({"password", "token", "privateKey"})


def live_file(desired: Desired, manifest: Manifest) -> LiveFile:
    """The live part of a manifest, as its process must find it in ``live/<name>.json``."""
    metadata = {
        "title": manifest.title,
        "labels": dict(manifest.labels),
        "annotations": dict(manifest.annotations),
    }
    return LiveFile(desired.sinks_of(manifest), manifest.live, manifest.texts, metadata)


def changes(applied: Applied | None, manifest: Manifest, live: LiveFile) -> tuple[Change, ...]:
    """What differs, in order of fields; () where nothing is known of what was applied."""
    if applied is None:
        return ()
    return (
        *_differences("spec", applied.spec.spec, manifest.given, "restart"),
        *live_changes(applied, live),
    )


def live_changes(applied: Applied | None, live: LiveFile) -> tuple[Change, ...]:
    """What a running process can take over; `sinks` are compared as resolved."""
    if applied is None:
        return ()
    before = applied.live
    if replace(live, buffer_share=before.buffer_share) == before:
        return ()
    old_spec = {k: v for k, v in before.spec.items() if k != "sinks"}
    new_spec = {k: v for k, v in live.spec.items() if k != "sinks"}
    return (
        *_differences("metadata", before.metadata, live.metadata, "live"),
        *_differences("spec", old_spec, new_spec, "live"),
        *_differences("spec.sinks", list(before.sinks), list(live.sinks), "live"),
        *(
            change
            for tag in sorted(before.texts.keys() | live.texts.keys())
            for change in _differences(
                f"spec.tags[{tag}]", before.texts.get(tag, {}), live.texts.get(tag, {}), "live"
            )
        ),
    )


def _differences(where: str, before: Any, after: Any, effect: Literal["live", "restart"]) -> Iterator[Change]:
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted(before.keys() | after.keys(), key=str):
            yield from _differences(f"{where}.{key}", before.get(key), after.get(key), effect)
    elif _named(before) and _named(after):
        old, new = ({item["name"]: item for item in items} for items in (before, after))
        for name in dict.fromkeys([*old, *new]):
            yield from _differences(f"{where}[{name}]", old.get(name), new.get(name), effect)
        if list(old) != list(new) and old.keys() == new.keys():
            yield Change(where, list(old), list(new), effect)
    elif _secret(where):
        yield Change(where, HIDDEN, HIDDEN, effect)
    else:
        yield Change(where, _redacted(before), _redacted(after), effect)


def _named(value: Any) -> bool:
    """Whether this is a list whose items are told apart by unique names."""
    if not (isinstance(value, list | tuple) and value):
        return False
    names = [item.get("name") if isinstance(item, Mapping) else None for item in value]
    return None not in names and len(set(names)) == len(names)


def _secret(where: str) -> bool:
    parts = where.split(".")
    return parts[:2] == ["spec", "env"] or any(part in SECRET_KEYS for part in parts)


def _redacted(value: Any, key: str = "") -> Any:
    """The same value, with what may hide a secret replaced at any depth."""
    if key in SECRET_KEYS or key == "env":
        return HIDDEN
    if isinstance(value, Mapping):
        return {k: _redacted(v, str(k)) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(v) for v in value]
    return value
