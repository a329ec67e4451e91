"""The words of one block turned into values, beside pymodbus's own conversion of the same words."""

from __future__ import annotations

from pymodbus.client import AsyncModbusTcpClient

from collectors.blocks import group
from collectors.decode import decoder
from collectors.spec import parse
from tests.bench.rows import Row, repeated, side_by_side

SHAPES = [("float32", AsyncModbusTcpClient.DATATYPE.FLOAT32, 2)] * 20
SHAPES += [("int16", AsyncModbusTcpClient.DATATYPE.INT16, 1)] * 40
SHAPES += [("uint32", AsyncModbusTcpClient.DATATYPE.UINT32, 2)] * 20


def run() -> list[Row]:
    """A block of 120 registers: 80 tags, words of 32-bit values swapped."""
    starts = [sum(width for _, _, width in SHAPES[:n]) for n in range(len(SHAPES))]
    tags = [
        {"name": f"t{start}", "address": f"holding:{start}", "type": name, "order": "CDAB"}
        for start, (name, _, _) in zip(starts, SHAPES, strict=True)
    ]
    devices = [{"name": "press-1", "host": "127.0.0.1"}]
    (device,) = parse("bench", {"type": "modbus", "devices": devices, "tags": tags}).devices
    (block,) = group(device.tags, device.limits)
    decode = decoder(block)
    words = [(n * 257) & 0x3FFF for n in range(block.count)]
    convert = AsyncModbusTcpClient.convert_from_registers

    def ours() -> list[object]:
        return list(decode(words))

    def baseline() -> list[object]:
        return [
            convert(words[start : start + width], kind, word_order="little")
            for start, (_, kind, width) in zip(starts, SHAPES, strict=True)
        ]

    assert ours() == baseline()
    times = side_by_side(repeated(ours), repeated(baseline), 300)
    return [Row("decode a block of 80 tags", "pymodbus convert_from_registers", *times)]
