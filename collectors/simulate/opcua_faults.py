"""What a simulated OPC UA server does wrong, on request."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.simulate import faults


@dataclass(frozen=True, slots=True)
class Faults(faults.Faults):
    """Besides what any device may do wrong, where every message of the server counts as an answer.

    ``bad``, ``retyped``: nodes (by path) that are bad, or Double whatever they were. ``max_nodes``: calls
    with more nodes are refused (0: none is). Without ``deadbands`` items that want one are refused, as by S7-1200.
    """

    bad: frozenset[str] = frozenset()
    retyped: frozenset[str] = frozenset()
    max_nodes: int = 0
    deadbands: bool = True
