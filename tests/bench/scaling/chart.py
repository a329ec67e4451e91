"""The figures as one SVG of small charts, legible on light and on dark pages; no drawing library. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tests.bench.scaling.measure import Point

WIDTH, HEIGHT, COLUMNS = 300, 210, 3
LEFT, RIGHT, TOP, BOTTOM = 44, 26, 40, 30
"""Of a chart, around its plot."""
CLOSEST = 0.05
"""Share of the width below which a number has no room of its own."""
STYLE = """
  svg { background: #ffffff; }
  text { font: 11px system-ui, sans-serif; fill: #444444; }
  .title { font-weight: 600; fill: #111111; }
  .grid { stroke: #dddddd; }
  .a { stroke: #0969da; fill: #0969da; } .b { stroke: #bc4c00; fill: #bc4c00; }
  polyline { fill: none !important; stroke-width: 2; }
  text.a, text.b { stroke: none; }
  @media (prefers-color-scheme: dark) {
    svg { background: #0d1117; } text { fill: #b1bac4; } .title { fill: #f0f6fc; } .grid { stroke: #30363d; }
    .a { stroke: #58a6ff; fill: #58a6ff; } .b { stroke: #f0883e; fill: #f0883e; }
  }
"""


class Chart(NamedTuple):
    """A title and one line or two, each a field of Point and how it is called (empty where the title says it)."""

    title: str
    lines: tuple[tuple[str, str], ...]


CHARTS = (
    Chart("Nothing to all reading, s", (("start_s", ""),)),
    Chart("Edit to new process, ms; kill -9 to next", (("edit_ms", "edit"), ("kill_ms", "kill"))),
    Chart("GET /api/processes, ms", (("status_p50_ms", "median"), ("status_p99_ms", "p99"))),
    Chart("A pass without a change, CPU ms", (("pass_cpu_ms", ""),)),
    Chart("Loop at rest, % of a core", (("loop_cpu_percent", ""),)),
    Chart("Loop, RSS MB", (("loop_rss_mb", ""),)),
    Chart("Each collector, PSS MiB", (("collector_pss_mib", ""),)),
    Chart("Each collector, CPU ms in a second", (("collector_cpu_ms", ""),)),
    Chart("Descriptors of the loop a collector", (("loop_descriptors", ""),)),
)


def draw(points: Sequence[Point]) -> str:
    """The whole picture; all charts share their x, the number of collectors. What grows with it is a straight line."""
    rows = math.ceil(len(CHARTS) / COLUMNS)
    charts = "\n".join(
        f'<g transform="translate({n % COLUMNS * WIDTH} {n // COLUMNS * HEIGHT})">{_chart(chart, points)}</g>'
        for n, chart in enumerate(CHARTS)
    )
    size = f"{COLUMNS * WIDTH} {rows * HEIGHT}"
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img">
<title>What daq costs with {points[0].collectors:g} to {points[-1].collectors:g} collectors</title>
<style>{STYLE}</style>
{charts}
</svg>
"""


def _chart(chart: Chart, points: Sequence[Point]) -> str:
    counts = [point.collectors for point in points]
    series = [[float(getattr(point, field)) for point in points] for field, _ in chart.lines]
    top = _round_up(max(map(max, series)))

    def x(count: float) -> float:
        return LEFT + count / counts[-1] * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - value / top * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text class="title" x="{LEFT}" y="20">{chart.title}</text>']
    for share in (0, 0.5, 1):
        at = y(top * share)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{top * share:g}</text>')
    marked = [n for n in counts if n >= counts[-1] * CLOSEST]
    parts += [f'<text x="{x(n):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{n:g}</text>' for n in marked]
    highest = max(series, key=lambda values: values[-1])
    for (_, called), values, colour in zip(chart.lines, series, "ab", strict=False):
        places = [(x(n), y(value)) for n, value in zip(counts, values, strict=True)]
        corners = " ".join(f"{left:.1f},{up:.1f}" for left, up in places)
        parts.append(f'<polyline class="{colour}" points="{corners}"/>')
        parts += [f'<circle class="{colour}" cx="{left:.1f}" cy="{up:.1f}" r="2.5"/>' for left, up in places]
        left, up = places[-1]
        up += -7 if values is highest or up > HEIGHT - BOTTOM - 16 else 16
        told = f"{called} {values[-1]:.3g}".strip()
        parts.append(f'<text class="{colour}" x="{left:.1f}" y="{up:.1f}" text-anchor="end">{told}</text>')
    return "".join(parts)


def _round_up(value: float) -> float:
    """To 1, 2, 4 or 10 times a power of ten, with room for a label above the highest point."""
    power: float = 10 ** math.floor(math.log10(value * 1.1))
    return next(step * power for step in (1, 2, 4, 6, 10) if step * power >= value * 1.1)
