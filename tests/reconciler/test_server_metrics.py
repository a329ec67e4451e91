"""Metrics: OpenMetrics that Prometheus takes, of what is there now, and alerts that fire on it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.programs import program
from tests.reconciler.serving import Served, served, sink, status

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "daq.rules.yml"


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Served]:
    held = {"type": "DataHeld", "status": "True", "reason": "Refused", "message": "401", "since": 1.0}
    with served(tmp_path, status("press"), sink("plant", conditions=[held])) as endpoint:
        endpoint.state.outbox("press").parent.mkdir()
        endpoint.state.outbox("press").write_bytes(b"x" * 100)
        yield endpoint


def samples(endpoint: Served) -> dict[str, float]:
    """Values by ``name{label=value,…}``, read by the reference parser."""
    text = endpoint.get("/metrics").body.decode()
    families = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    return {
        f"{s.name}{{{','.join(f'{k}={v}' for k, v in sorted(s.labels.items()))}}}": s.value
        for family in families
        for s in family.samples
    }


def test_what_is_served_is_openmetrics(endpoint: Served) -> None:
    answer = endpoint.get("/metrics")
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert answer.body.endswith(b"# EOF\n")
    old = endpoint.get("/metrics", Accept="text/plain;version=0.0.4")
    assert old.headers["content-type"].startswith("text/plain")


def test_each_figure_of_the_snapshot_has_its_series(endpoint: Served) -> None:
    endpoint.server.passed(0.02)
    found = samples(endpoint)
    for series, value in {
        "daq_build_info{node=edge,version=1}": 1,
        "daq_source_revision_info{branch=,kind=directory,revision=abc}": 1,
        "daq_heartbeat_timestamp_seconds{}": 1000.5,
        "daq_converged{}": 1,
        "daq_reconcile_duration_seconds_count{}": 1,
        "daq_reconcile_duration_seconds_bucket{le=0.025}": 1,
        "daq_collector_condition{collector=press,type=Ready}": 1,
        "daq_collector_status{collector=press,status=running}": 1,
        "daq_collector_restarts_total{collector=press}": 2,
        "daq_collector_last_sample_timestamp_seconds{collector=press}": 5,
        "daq_collector_cpu_ratio{collector=press}": 0.015,
        "daq_device_connected{collector=press,device=press}": 1,
        "daq_device_cycle_seconds{collector=press,device=press}": 0.012,
        "daq_points_total{collector=press,result=delivered}": 6,
        "daq_points_total{collector=press,result=dropped}": 1,
        "daq_points_acquired_total{collector=press}": 10,
        "daq_points_queued{collector=press}": 2,
        "daq_collector_points_per_second{collector=press}": 2.5,
        "daq_buffer_bytes{collector=press}": 100,
        "daq_sink_points_queued{sink=plant}": 2,
        "daq_sink_held{sink=plant}": 1,
    }.items():
        assert found[series] == value, series


def test_series_of_a_removed_collector_vanish(endpoint: Served) -> None:
    assert any("press" in series for series in samples(endpoint))
    endpoint.publish(sink("plant"))
    assert not any("press" in series for series in samples(endpoint))


def test_before_the_first_pass_there_are_no_figures_of_a_plant(tmp_path: Path) -> None:
    with served(tmp_path) as endpoint:
        assert not any(series.startswith("daq_collector") for series in samples(endpoint))


def test_alerts_ask_for_series_that_exist(endpoint: Served) -> None:
    known = {series.partition("{")[0] for series in samples(endpoint)}
    rules = [r for group in yaml.safe_load(RULES.read_text())["groups"] for r in group["rules"]]
    asked = {name for rule in rules for name in re.findall(r"\bdaq_\w+", rule["expr"])}
    assert asked
    assert asked <= known
    assert all({"summary", "description"} <= rule["annotations"].keys() for rule in rules)


def test_prometheus_takes_the_alerts_and_the_metrics(endpoint: Served, tmp_path: Path) -> None:
    promtool = program("promtool")
    checked = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    text = endpoint.get("/metrics", Accept="text/plain").body
    checked_text = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert checked_text.returncode == 0, checked_text.stdout + checked_text.stderr
