"""The plant that `daq simulate modbus` serves: two presses as unit 1 and 2; addresses count from 0.

Both presses (unit 2 has a cooling circuit besides):

| address          | holds                                  | as                        |
| ---------------- | -------------------------------------- | ------------------------- |
| coil 0, 1, 2     | motor, pump, heater on                 | bit                       |
| discrete 0, 1    | door open, part present                | bit                       |
| input 0          | hydraulic pressure, 0.1 bar            | int16                     |
| input 1          | oil temperature, 0.1 °C                | int16                     |
| input 2          | motor current, A                       | float32 ABCD              |
| input 4          | vibration, 0.01 mm/s                   | uint16                    |
| input 6          | ram position, µm, 0 = top              | int32 ABCD                |
| input 10 .. 13   | heating zones 1 to 4, 0.1 °C           | int16                     |
| holding 0        | tool temperature, °C                   | float32 CDAB              |
| holding 2        | its setpoint, °C                       | int16                     |
| holding 3        | state: 0 idle 1 closing 2 pressing 3 opening | uint16              |
| holding 4        | motor speed, 1/min                     | 4 BCD digits              |
| holding 6        | batch number                           | 8 BCD digits              |
| holding 10 .. 17 | recipe                                 | 16 bytes of text          |
| holding 100      | energy, Wh                             | uint32 ABCD               |
| holding 102      | pieces made                            | uint32 CDAB               |
| holding 104      | seconds in operation                   | uint64 ABCD               |
| holding 110      | sum of pressing force, kN              | float64 DCBA              |
| holding 199      | alarms: 0 overheat, 1 low oil, 15 door open | 16 bits              |

Cooling, unit 2: input 20 inlet and 21 outlet, 0.1 °C, int16; input 22 flow, l/min, float32 BADC; coil 8 valve
open. Every other address up to 1999 reads 0.
"""

from __future__ import annotations

from collections.abc import Mapping

from collectors.simulate.memory import Point, Table, bcd, bit, flags, number, text
from collectors.simulate.modbus_frames import Memory
from collectors.simulate.signals import chosen, consumed, counted, now_and_then, phases, swing

COMMISSIONED_AT = 1_735_689_600.0
"""Epoch seconds at which counters and meters of the plant stood at 0."""

_SIZE = 2000
_CYCLE_S = (3.0, 2.0, 5.0, 2.0)
"""How long a press idles, closes, presses and opens."""
_RECIPES = ("GEAR-A4 齿轮", "RING-B2", "PLATE-C7")


def _press(seed: int, ahead_s: float, power_kw: float, cooling: Mapping[str, list[Point]]) -> Memory:
    states, cycles = phases((0, 1, 2, 3), _CYCLE_S), counted(sum(_CYCLE_S))
    door = now_and_then(60.0, 6.0, seed=seed)
    oil = swing(41.0, 58.0, 900.0, noise=0.2, seed=seed)
    tool = swing(176.0, 184.0, 300.0, noise=0.4, seed=seed + 10)
    strain = swing(138.0, 146.0, 120.0, noise=1.5, seed=seed + 20)
    idle = swing(6.0, 8.0, 120.0, noise=0.3, seed=seed + 30)
    speed = swing(1440.0, 1475.0, 60.0, noise=5.0, seed=seed + 70)
    low_oil = now_and_then(1800.0, 40.0, seed=seed + 50)
    zones = [swing(170.0 + 5 * n, 180.0 + 5 * n, 400.0, noise=0.5, seed=seed + 40 + n) for n in range(4)]

    def state(t: float) -> float:
        return states(t + ahead_s)

    def pieces(t: float) -> float:
        return cycles(t + ahead_s)

    def pressure(t: float) -> float:
        return strain(t) if state(t) == 2 else idle(t)

    def current(t: float) -> float:
        return 3.2 + 0.19 * pressure(t)

    def ram(t: float) -> float:
        idles, closes, presses, opens = _CYCLE_S
        passed = (t + ahead_s) % sum(_CYCLE_S) - idles
        down = min(passed / closes, 1.0, (closes + presses + opens - passed) / opens)
        return 250_000.0 * max(down, 0.0)

    return {
        "coil": Table(
            _SIZE,
            [
                bit(0, lambda t: state(t) > 0),
                bit(1, lambda t: 1.0),
                bit(2, lambda t: tool(t) < 180.0),
                *cooling.get("coil", []),
            ],
        ),
        "discrete": Table(_SIZE, [bit(0, door), bit(1, lambda t: state(t) in {1, 2})]),
        "input": Table(
            _SIZE,
            [
                number(0, "h", pressure, scale=10),
                number(1, "h", oil, scale=10),
                number(2, "f", current),
                number(4, "H", swing(0.8, 2.4, 240.0, noise=0.15, seed=seed + 60), scale=100),
                number(6, "i", ram),
                *(number(10 + n, "h", zone, scale=10) for n, zone in enumerate(zones)),
                *cooling.get("input", []),
            ],
        ),
        "holding": Table(
            _SIZE,
            [
                number(0, "f", tool, order="CDAB"),
                number(2, "h", chosen((175, 180, 185), 600.0, seed=seed)),
                number(3, "H", state),
                bcd(4, 1, lambda t: speed(t) if state(t) else 0.0),
                bcd(6, 2, lambda t: 26_000_000 + t // 86_400),
                text(10, 8, _RECIPES, chosen(range(len(_RECIPES)), 1800.0, seed=seed + 1)),
                number(100, "I", consumed(power_kw / 3.6)),
                number(102, "I", pieces, order="CDAB"),
                number(104, "Q", lambda t: t),
                number(110, "d", lambda t: pieces(t) * 812.5, order="DCBA"),
                flags(199, {0: lambda t: tool(t) > 183.5, 1: low_oil, 15: door}),
            ],
        ),
    }


_COOLING: Mapping[str, list[Point]] = {
    "coil": [bit(8, now_and_then(30.0, 20.0, seed=9))],
    "input": [
        number(20, "h", swing(17.0, 19.0, 1200.0, noise=0.1, seed=5), scale=10),
        number(21, "h", swing(24.0, 29.0, 900.0, noise=0.2, seed=6), scale=10),
        number(22, "f", swing(34.0, 38.0, 200.0, noise=0.4, seed=7), order="BADC"),
    ],
}

UNITS: Mapping[int, Memory] = {1: _press(100, 0.0, 22.0, {}), 2: _press(200, 5.0, 18.5, _COOLING)}
