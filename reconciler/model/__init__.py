"""The values every part of the reconciler speaks of: what is wanted, what is observed, what happened before.

All of them are immutable and know no files, processes or clocks. ``*_at`` is epoch seconds for people, ``*_s`` a
duration in seconds; a time that decisions compare is *monotonic* seconds of the boot named beside it.
"""

from __future__ import annotations

from collectors.contract import Kind, LiveFile, Points, Report, SpecFile
from reconciler.model.decided import Action, Change, Plan, Refusal, Rest, Step
from reconciler.model.observed import Applied, Holder, Instance, Observed, ProcessId, Stopping, Termination
from reconciler.model.remembered import Held, History
from reconciler.model.wanted import (
    LOCAL_SINK,
    Desired,
    HealthPolicy,
    Manifest,
    ManifestError,
    Node,
    Pause,
    Resources,
    RestartPolicy,
    Source,
    StopPolicy,
)

__all__ = [
    "LOCAL_SINK",
    "Action",
    "Applied",
    "Change",
    "Desired",
    "HealthPolicy",
    "Held",
    "History",
    "Holder",
    "Instance",
    "Kind",
    "LiveFile",
    "Manifest",
    "ManifestError",
    "Node",
    "Observed",
    "Pause",
    "Plan",
    "Points",
    "ProcessId",
    "Refusal",
    "Report",
    "Resources",
    "Rest",
    "RestartPolicy",
    "Source",
    "SpecFile",
    "Step",
    "StopPolicy",
    "Stopping",
    "Termination",
]
