"""What stands at an address, read as every type in every order."""

from __future__ import annotations

import pytest

from collectors.contract import check_spec
from collectors.probe import every_reading, manifest_of
from collectors.tags import WORDS


@pytest.mark.parametrize(
    ("url", "device", "tag"),
    [
        (
            "modbus://10.0.0.1:1502/7?address=holding:0&count=2&timeout=500ms",
            {"host": "10.0.0.1", "port": 1502, "unitId": 7, "timeout": "500ms"},
            {"name": "probed", "address": "holding:0", "count": 2, "type": "uint16"},
        ),
        (
            "modbus://plc?address=coil:3&count=1",
            {"host": "plc"},
            {"name": "probed", "address": "coil:3", "count": 1},
        ),
        (
            "melsec://plc:5000?frame=3E&series=iQ-R&address=ZR100&moduleIo=0x3FF",
            {"host": "plc", "port": 5000, "frame": "3E", "series": "iQ-R", "moduleIo": 0x3FF},
            {"name": "probed", "address": "ZR100", "count": 4, "type": "uint16"},
        ),
    ],
)
def test_a_url_is_a_manifest_of_one_device_and_one_tag(url: str, device: object, tag: object) -> None:
    spec = manifest_of(url)["spec"]
    assert (spec["devices"], spec["tags"]) == ([device], [tag])
    assert check_spec("Collector", "probe", spec) == []


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("profibus://plc?address=1", "write modbus://host:port/unitId"),
        ("plc:502", "write modbus://host:port/unitId"),
        ("modbus://plc:port/1?address=40001", "write modbus://host:port/unitId"),
        ("modbus://plc/1", r"names no address; add \?address="),
        ("modbus:///1?address=40001", "names no host"),
        ("melsec://plc/1?address=D0", "'1' means nothing there"),
        ("opcua://plc?address=1", "write daq browse URL"),
    ],
)
def test_what_is_no_such_url_is_refused_with_advice(url: str, advice: str) -> None:
    with pytest.raises(ValueError, match=f"cannot probe .*{advice}"):
        manifest_of(url)


def test_each_word_is_read_as_each_type_in_each_order_that_fits() -> None:
    spec = every_reading(manifest_of("modbus://plc?address=holding:10&count=4")["spec"])
    names = [tag.name for tag in spec.devices[0].tags]
    assert len(names) == len(set(names)) == 3 * 4 * 2 + 4 * 3 * 4 + 3 * 1 * 4 + 2
    assert {name.split()[1] for name in names} == {*WORDS, "string"}
    at = {tag.name: tag.address.offset for tag in spec.devices[0].tags}
    assert at["2 float32 CDAB"] == 12
    assert "1 float64 ABCD" not in at
