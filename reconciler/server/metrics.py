"""``/metrics``: the snapshot as OpenMetrics, made anew at each scrape, so that what is gone leaves no series behind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector as Source
from starlette.requests import Request
from starlette.responses import Response

from collectors.contract import StateDir
from reconciler.publish import Publisher, Snapshot, Status

PASS_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
MIB = 1024 * 1024
RESULTS = ("delivered", "dropped", "rejected")

Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)


class Metrics:
    """Everything that is counted: the plant of each snapshot, and how long passes took since the start."""

    def __init__(self, publisher: Publisher) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Plant(publisher))
        self.passes = Histogram(
            "daq_reconcile_duration_seconds",
            "Time that passes took.",
            buckets=PASS_BUCKETS_S,
            registry=self._registry,
        )

    def answer(self, request: Request) -> Response:
        """OpenMetrics; the older text format to a client that accepts only that."""
        accepted = request.headers.get("accept", "")
        if "text/plain" in accepted and "openmetrics" not in accepted:
            text = generate_latest(self._registry)
            return Response(text, headers={"Content-Type": CONTENT_TYPE_LATEST})
        body = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
        return Response(body, headers={"Content-Type": openmetrics.CONTENT_TYPE_LATEST})


class _Plant(Source):
    """A snapshot's families."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    def collect(self) -> Iterable[Metric]:
        """All of them; none before the first pass."""
        snapshot = self._publisher.snapshot
        if not snapshot.number:
            return
        yield from _loop(snapshot)
        for kind in ("Collector", "Sink"):
            yield from _processes(kind.lower(), [p for p in snapshot.processes if p["kind"] == kind])
        collectors = [p for p in snapshot.processes if p["kind"] == "Collector"]
        yield from _devices(collectors)
        yield from _points(snapshot, self._publisher.state, collectors)


def _loop(snapshot: Snapshot) -> Iterator[Metric]:
    document, source = snapshot.document, snapshot.document["source"]
    loop, summary = document["reconciler"], document["summary"]
    yield InfoMetricFamily("daq_build", "What runs.", {"version": loop["version"], "node": loop["node"]})
    revision = {key: source[key] or "" for key in ("kind", "branch")} | {"revision": source["applied"] or ""}
    yield InfoMetricFamily("daq_source_revision", "The manifests in force.", revision)
    for name, text, value in (
        ("daq_converged", "1 while the plant is as its manifests say.", document["converged"]),
        ("daq_heartbeat_timestamp_seconds", "When the last pass was made.", loop["heartbeat_at"]),
        ("daq_manifest_errors", "Errors in manifests.", len(snapshot.desired.errors)),
        (
            "daq_source_unread",
            "1 while manifests cannot be read or fetched.",
            bool(snapshot.desired.unread or source["error"]),
        ),
        ("daq_pending_actions", "Steps that the last pass had to make.", len(snapshot.plan.acting)),
        (
            "daq_prune_refused",
            "1 while stops of vanished names wait for `daq apply --force`.",
            bool(snapshot.plan.refusal),
        ),
        ("daq_points_per_second", "Readings taken per second.", summary["points_per_second"]),
        ("daq_stale_tags", "Tags without a fresh value.", summary["stale_tags"]),
    ):
        yield GaugeMetricFamily(name, text, value)
    if source["fetched_at"]:
        yield GaugeMetricFamily(
            "daq_source_fetched_timestamp_seconds", "Last good fetch.", source["fetched_at"]
        )


def _processes(kind: str, statuses: list[Status]) -> Iterator[Metric]:
    """What collectors and sinks have in common; `kind` is part of the names and a label."""

    def gauge(name: str, text: str, value: Callable[[Status], Any]) -> Metric:
        family = GaugeMetricFamily(f"daq_{kind}_{name}", text, labels=[kind])
        return _filled(family, (([s["name"]], value(s)) for s in statuses))

    condition = GaugeMetricFamily(f"daq_{kind}_condition", "1 while it holds.", labels=[kind, "type"])
    yield _filled(
        condition,
        (([s["name"], c["type"]], c["status"] == "True") for s in statuses for c in s["conditions"]),
    )
    status = GaugeMetricFamily(f"daq_{kind}_status", "1 for the status it has.", labels=[kind, "status"])
    yield _filled(status, (([s["name"], s["status"]], 1) for s in statuses))
    restarts = CounterMetricFamily(f"daq_{kind}_restarts", "Automatic restarts.", labels=[kind])
    yield _filled(restarts, (([s["name"]], s["restart_count"]) for s in statuses))
    yield gauge("wanted", "1 where the manifest wants it to run.", lambda s: s["desired_state"] == "running")
    yield gauge("cpu_ratio", "Use of one core, its children included.", lambda s: s["cpu_percent"] / 100)
    yield gauge("memory_bytes", "Resident memory, its children included.", lambda s: s["memory_mb"] * MIB)
    yield gauge("start_timestamp_seconds", "When the process started.", lambda s: s["start_time"])


def _devices(collectors: list[Status]) -> Iterator[Metric]:
    def sample(name: str, text: str, value: Callable[[Mapping[str, Any]], Any], of: type[Family]) -> Metric:
        family = of(f"daq_device_{name}", text, labels=["collector", "device"])
        return _filled(family, (([s["name"], d["name"]], value(d)) for s in collectors for d in s["devices"]))

    last = GaugeMetricFamily(
        "daq_collector_last_sample_timestamp_seconds",
        "Newest good answer of its devices.",
        labels=["collector"],
    )
    newest = ((s["name"], [d["last_read_at"] for d in s["devices"] if d["last_read_at"]]) for s in collectors)
    yield _filled(last, (([name], max(times, default=None)) for name, times in newest))
    yield sample("connected", "1 while it answers.", lambda d: d["connected"], GaugeMetricFamily)
    yield sample("cycle_seconds", "The last cycle.", lambda d: d["cycle_ms"] / 1000, GaugeMetricFamily)
    yield sample("quarantined_tags", "Tags it refuses.", lambda d: len(d["quarantined"]), GaugeMetricFamily)
    yield sample("reads", "Answered requests.", lambda d: d["reads"], CounterMetricFamily)
    yield sample("errors", "Failed requests.", lambda d: d["errors"], CounterMetricFamily)
    yield sample("late_cycles", "Slots missed.", lambda d: d["late_cycles"], CounterMetricFamily)


def _points(snapshot: Snapshot, state: StateDir, collectors: list[Status]) -> Iterator[Metric]:
    """Readings: acquired = delivered + dropped + rejected + queued, by collector and by sink."""
    total = CounterMetricFamily(
        "daq_points", "Readings that left the outbox, by result.", labels=["collector", "result"]
    )
    acquired = CounterMetricFamily("daq_points_acquired", "Readings taken.", labels=["collector"])
    queued = GaugeMetricFamily("daq_points_queued", "Readings in the outbox.", labels=["collector"])
    rate = GaugeMetricFamily("daq_collector_points_per_second", "Readings now.", labels=["collector"])
    yield _filled(rate, (([s["name"]], s["points_per_second"]) for s in collectors))
    yield _filled(total, (([s["name"], r], s["points"][r]) for s in collectors for r in RESULTS))
    yield _filled(acquired, (([s["name"]], s["points"]["acquired"]) for s in collectors))
    yield _filled(queued, (([s["name"]], s["points"]["queued"]) for s in collectors))
    sinks = [s for s in snapshot.processes if s["kind"] == "Sink"]
    by_sink = CounterMetricFamily(
        "daq_sink_points", "Readings that left for a sink, by result.", labels=["sink", "result"]
    )
    waiting = GaugeMetricFamily("daq_sink_points_queued", "Readings that wait for a sink.", labels=["sink"])
    held = GaugeMetricFamily("daq_sink_held", "1 while it accepts nothing.", labels=["sink"])
    yield _filled(by_sink, (([s["name"], r], s["points"][r]) for s in sinks for r in RESULTS))
    yield _filled(waiting, (([s["name"]], s["points"]["queued"]) for s in sinks))
    yield _filled(held, (([s["name"]], any(c["type"] == "DataHeld" for c in s["conditions"])) for s in sinks))
    buffer = GaugeMetricFamily("daq_buffer_bytes", "Size of the outbox on disk.", labels=["collector"])
    yield _filled(buffer, (([s["name"]], _size(state, s["name"])) for s in collectors))


def _filled(family: Family, samples: Iterable[tuple[list[str], Any]]) -> Family:
    """With all samples that have a value."""
    for labels, value in samples:
        if value is not None:
            family.add_metric(labels, float(value))
    return family


def _size(state: StateDir, name: str) -> int | None:
    """Bytes of an outbox and what SQLite keeps beside it; None where there is none."""
    path = state.outbox(name)
    try:
        beside = path.with_name(f"{path.name}-wal")
        return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)
    except FileNotFoundError:
        return None
