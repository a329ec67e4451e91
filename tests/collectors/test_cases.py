"""Golden cases: a manifest and what a device holds, and the lines (or the errors) that come of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from collectors.contract import check_spec
from collectors.readings import Readings
from collectors.spec import parse

CASES = Path(__file__).parent.parent / "cases"
PROTOCOLS = ("modbus", "melsec")
AT_NS = 1_700_000_000_000_000_000


def cases(file: str) -> list[str]:
    """The cases that hold a file, as protocol/case."""
    found = (path.parent for protocol in PROTOCOLS for path in (CASES / protocol).glob(f"*/{file}"))
    return sorted(path.relative_to(CASES).as_posix() for path in found)


@pytest.mark.parametrize("case", cases("expected.lp"))
def test_a_case_gives_its_lines(case: str) -> None:
    manifest = yaml.safe_load((CASES / case / "manifest.yaml").read_text())
    held = yaml.safe_load((CASES / case / "device.yaml").read_text())
    cells = {
        (area, start + i): word
        for area, runs in held.items()
        for start, words in runs.items()
        for i, word in enumerate(words)
    }
    lines: list[str] = []
    spec = parse(manifest["metadata"]["name"], manifest["spec"])
    for device in spec.devices:
        readings = Readings(spec, device, lambda line, _: lines.append(line), 0.0)
        for request in readings.due(0, None, 0.0):
            block = request.block
            raw = [cells.get((block.area, block.start + i), 0) for i in range(block.count)]
            readings.answered(request, raw, AT_NS, 1.0)
    assert lines == (CASES / case / "expected.lp").read_text().splitlines()


@pytest.mark.parametrize("case", cases("error.txt"))
def test_a_case_gives_its_errors(case: str) -> None:
    manifest = yaml.safe_load((CASES / case / "manifest.yaml").read_text())
    problems = check_spec("Collector", manifest["metadata"]["name"], manifest["spec"])
    said = [f"{'.'.join(map(str, p.path))}: {p.message}" for p in problems]
    assert said == (CASES / case / "error.txt").read_text().splitlines()
