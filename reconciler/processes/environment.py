"""The environment of a child: minimal, with the values that its manifest refers to looked up here."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.contract import ENV_DIGEST, ENV_INSTANCE, ENV_NAME, ENV_STATE_DIR, SpecFile, StateDir

_PASSED = ("HOME", "LANG", "TZ")
_SHORTEST_SECRET = 4
"""Shorter values are not hidden: they would black out ordinary words."""
_SECRET_NAME = re.compile("PASS|TOKEN|SECRET|KEY|CRED|AUTH", re.IGNORECASE)
"""Variables of `spec.env` so named are hidden too, although their values stand in the manifest."""


class UnresolvedError(Exception):
    """A variable or file that a manifest refers to is not there; the message names it and the place."""


@dataclass(frozen=True, slots=True)
class Reference:
    """``{env: NAME}`` or ``{file: PATH}`` at a place of a spec."""

    where: str
    kind: str
    target: str

    def value(self, environ: Mapping[str, str], directory: Path) -> str:
        """Raises UnresolvedError."""
        if self.kind == "env":
            try:
                return environ[self.target]
            except KeyError:
                raise UnresolvedError(
                    f"{self.where}: environment variable {self.target} is not set for daq"
                ) from None
        path = directory / self.target
        try:
            return path.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise UnresolvedError(f"{self.where}: cannot read {path}: {error}") from error


def references(spec: Mapping[str, Any]) -> Iterator[Reference]:
    """Every reference of a spec. The keys of ``spec.env`` are names of variables, never a reference
    themselves.
    """
    for key, value in spec.items():
        if key == "env" and isinstance(value, Mapping):
            for name, item in value.items():
                yield from _references(item, f"spec.env.{name}")
        else:
            yield from _references(value, f"spec.{key}")


def _references(value: Any, where: str) -> Iterator[Reference]:
    if isinstance(value, Mapping):
        for kind in ("env", "file"):
            if value.keys() == {kind} and isinstance(value[kind], str):
                yield Reference(where, kind, value[kind])
                return
        for key, item in value.items():
            yield from _references(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _references(item, f"{where}[{index}]")


def child_environment(
    spec: SpecFile, state: StateDir, instance: str, python: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """All that the child of `spec` sees of ours. Raises UnresolvedError."""
    directory = Path(spec.directory)
    values = {r: r.value(environ, directory) for r in references(spec.spec)}
    child = {name: environ[name] for name in _PASSED if name in environ}
    child["PATH"] = f"{Path(python).absolute().parent}:{environ.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    child |= {r.target: value for r, value in values.items() if r.kind == "env"}
    resolved = {r.where: value for r, value in values.items()}
    for name, item in spec.spec.get("env", {}).items():
        child[name] = resolved.get(f"spec.env.{name}", str(item))
    return child | {
        ENV_NAME: spec.name,
        ENV_DIGEST: spec.digest,
        ENV_STATE_DIR: str(state.root),
        ENV_INSTANCE: instance,
    }


def secrets(spec: SpecFile, environ: Mapping[str, str]) -> list[str]:
    """The values that `spec` refers to, and those it names like one, longest first, as far as they can be read now."""
    given = spec.spec.get("env", {}).items()
    found = {
        str(value) for name, value in given if _SECRET_NAME.search(name) and not isinstance(value, Mapping)
    }
    for reference in references(spec.spec):
        try:
            found.add(reference.value(environ, Path(spec.directory)))
        except UnresolvedError:
            continue
    return sorted((s for s in found if len(s) >= _SHORTEST_SECRET), key=len, reverse=True)


def fingerprint(spec: SpecFile, environ: Mapping[str, str]) -> str:
    """Changes when any variable or file that `spec` refers to does; tells nothing of their values."""
    digest = hashlib.sha256()
    for reference in references(spec.spec):
        try:
            value = reference.value(environ, Path(spec.directory))
        except UnresolvedError as error:
            value = str(error)
        digest.update(f"{reference.where}\0{value}\0".encode())
    return digest.hexdigest()[:16]
