"""Who may use how much of ``--buffer-total``. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from collectors.contract import DEFAULT_BUFFER, parse_size
from reconciler.model import Desired

DEFAULT_BUFFER_TOTAL = 10 << 30
DEFAULT_BUFFER_PART = 0.2
"""Of the disk that holds the state directory, where that is less."""


def wanted(desired: Desired) -> dict[str, int]:
    """By collector, the ``buffer.maxBytes`` of all that have an outbox and are to run."""
    return {
        name: parse_size(manifest.spec.get("buffer", {}).get("maxBytes", DEFAULT_BUFFER["maxBytes"]))
        for name, manifest in desired.manifests.items()
        if manifest.kind == "Collector" and manifest.type != "exec" and manifest.running
    }


def shares(wanted: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` divided: everybody gets what he wants, or else the same as everybody else who wants more than that.

    What one does not want is there for the others. The sum is at most `total`, and less only where all have what they
    want, but for a rest of less than one byte each.
    """
    found: dict[str, int] = {}
    left = max(0, total)
    for number, name in enumerate(sorted(wanted, key=lambda n: (wanted[n], n))):
        found[name] = min(wanted[name], left // (len(wanted) - number))
        left -= found[name]
    return found
