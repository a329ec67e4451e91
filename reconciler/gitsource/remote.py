"""Where commits come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository (path or URL), its branch, the directory of the manifests in it.

    `path` is normalised, ``.`` the top. `signers` is a file of allowed signers (see ssh-keygen), or None.
    """

    url: str
    branch: str = "main"
    path: str = "desired"
    pull_s: float = 60.0
    signers: Path | None = None

    @property
    def local(self) -> Path | None:
        """The repository's directory, where it is on this machine."""
        path = Path(self.url.removeprefix("file://"))
        return path.absolute() if path.exists() else None
