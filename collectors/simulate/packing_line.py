"""The packing line that `daq simulate melsec` serves.

| device       | holds                                         | as                |
| ------------ | --------------------------------------------- | ----------------- |
| X0, X1, X10  | carton present, door open, emergency stop     | bit               |
| Y0, Y1       | conveyor, glue pump on                        | bit               |
| M0, M1, M100 | automatic, fault, carton counted              | bit               |
| D0           | conveyor speed, 0.1 m/min                     | int16             |
| D1           | glue temperature, 0.1 °C                      | int16             |
| D2           | state: 0 waits 1 folds 2 fills 3 closes       | uint16            |
| D10          | carton weight, kg                             | float32           |
| D12          | cartons made                                  | uint32            |
| D20 to D27   | product                                       | 16 bytes of text  |
| D100 to D103 | glue nozzles 1 to 4, 0.1 °C                   | int16             |
| D110         | air used, l                                   | float64           |
| D120         | alarms: 0 no glue, 3 door open, 15 jam        | 16 bits           |
| TN0          | time in this state, 0.1 s                     | uint16            |
| CN0          | cartons on this pallet, 0 to 47               | uint16            |
| CN200        | cartons made (FX3)                            | uint32            |
| R0           | shift, 4 BCD digits                           | bcd16             |

32- and 64-bit values have their low word first, text its first character in the low byte, as PLC programs
write them. Every other device reads 0.
"""

from __future__ import annotations

from collectors.simulate.melsec_memory import Plc, Series
from collectors.simulate.memory import Table, bcd, bit, flags, number, text
from collectors.simulate.signals import chosen, consumed, counted, now_and_then, phases, swing

COMMISSIONED_AT = 1_735_689_600.0
"""Epoch seconds at which counters of the line stood at 0."""

_SIZE = 65536
_STEPS_S = (1.0, 1.5, 2.5, 1.0)
"""How long the line waits, folds, fills and closes."""
_PALLET = 48
_PRODUCTS = ("NUTS-500 坚果", "RAISINS-250", "DATES-1000")


def packing_line(series: Series) -> Plc:
    """The line on a PLC of a series."""
    state, made = phases((0, 1, 2, 3), _STEPS_S), counted(sum(_STEPS_S))
    door = now_and_then(90.0, 8.0, seed=300)
    no_glue = now_and_then(1200.0, 30.0, seed=301)
    jam = now_and_then(600.0, 12.0, seed=302)
    nozzles = [swing(158.0 + 2 * n, 166.0 + 2 * n, 300.0, noise=0.4, seed=310 + n) for n in range(4)]

    def in_state(t: float) -> float:
        passed = t % sum(_STEPS_S)
        return 10 * (passed - sum(_STEPS_S[: int(state(t))]))

    def fault(t: float) -> float:
        return max(no_glue(t), jam(t))

    return Plc(
        series,
        {
            "X": Table(
                _SIZE,
                [
                    bit(0, lambda t: state(t) in {2, 3}),
                    bit(1, door),
                    bit(0o10 if series == "FX3" else 16, jam),
                ],
            ),
            "Y": Table(_SIZE, [bit(0, lambda t: 1 - jam(t)), bit(1, lambda t: state(t) == 3)]),
            "M": Table(
                _SIZE, [bit(0, lambda t: 1 - door(t)), bit(1, fault), bit(100, lambda t: state(t) == 0)]
            ),
            "D": Table(
                _SIZE,
                [
                    number(0, "h", swing(11.0, 13.0, 180.0, noise=0.2, seed=303), scale=10),
                    number(1, "h", swing(160.0, 168.0, 400.0, noise=0.3, seed=304), scale=10),
                    number(2, "H", state),
                    number(10, "f", swing(4.95, 5.08, 60.0, noise=0.02, seed=305), order="CDAB"),
                    number(12, "I", made, order="CDAB"),
                    text(20, 8, _PRODUCTS, chosen(range(len(_PRODUCTS)), 1800.0, seed=306), order="BADC"),
                    *(number(100 + n, "h", nozzle, scale=10) for n, nozzle in enumerate(nozzles)),
                    number(110, "d", consumed(2.4), order="CDAB"),
                    flags(120, {0: no_glue, 3: door, 15: jam}),
                ],
            ),
            "TN": Table(_SIZE, [number(0, "H", in_state)]),
            "CN": Table(_SIZE, [number(0, "H", lambda t: made(t) % _PALLET)]),
            "CN200": Table(_SIZE, [number(0, "I", made, order="CDAB")]),
            "R": Table(_SIZE, [bcd(0, 1, lambda t: 1 + t // 28_800 % 3)]),
        },
    )
