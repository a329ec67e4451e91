"""The plant that `daq simulate opcua` serves, as variables of many types that move with time.

Below /Objects/Plant in the namespace ``urn:daq:simulator``; node ids are the paths below Plant, as
``s=Press1.OilTemperature``. Two presses and a boiler:

| node                               | type          |
| ---------------------------------- | ------------- |
| Press1.OilTemperature, °C          | Float         |
| Press1.Pressure, bar               | Double        |
| Press1.Pieces                      | UInt32        |
| Press1.Energy, Wh                  | UInt64        |
| Press1.State                       | Int32         |
| Press1.Vibration, 0.01 mm/s        | UInt16        |
| Press1.Drift, µm                   | Int16         |
| Press1.DoorOpen                    | Boolean       |
| Press1.Recipe                      | String        |
| Press1.Operator                    | LocalizedText |
| Press1.LastService                 | DateTime      |
| Press1.Program                     | Byte          |
| Press1.Zones, °C                   | Double[4]     |
| Boiler.Level, %                    | Double, now and then BadSensorFailure |
| Boiler.Setpoint, °C                | Int32, or Double where its type is told to change |

Press2 is as Press1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from collectors.simulate.press_line import COMMISSIONED_AT
from collectors.simulate.signals import Signal, chosen, consumed, counted, now_and_then, phases, swing

BAD_SENSOR = "BadSensorFailure"
_RECIPES = ("GEAR-A4 齿轮", "RING-B2", "PLATE-C7")
_OPERATORS = ("Li Wei 李伟", "Anna")


class Variable(NamedTuple):
    """A node: its OPC UA type, its value and status at a time (seconds since the plant began)."""

    type: str
    value: Callable[[float], Any]
    status: Callable[[float], str] = lambda _: "Good"


def plant() -> Mapping[str, Variable]:
    """Every variable by its path."""
    return {**_press("Press1", 1), **_press("Press2", 2), **_boiler()}


def load(count: int, every_s: float) -> Mapping[str, Variable]:
    """Variables that all change every `every_s`, for measuring."""
    steps = counted(every_s)

    def item(n: int) -> Variable:
        return Variable("Double", lambda t: steps(t) + n / 1e6)

    return {f"Load.{n}": item(n) for n in range(count)}


def now() -> float:
    """Seconds since the plant began."""
    return time.time() - COMMISSIONED_AT


def _press(name: str, seed: int) -> dict[str, Variable]:
    oil = swing(41.0, 58.0, 900.0, noise=0.2, seed=seed)
    recipe, operator = (chosen(range(n), 300.0, seed=seed) for n in (len(_RECIPES), len(_OPERATORS)))
    zones = [swing(180.0 + 5 * i, 200.0 + 5 * i, 120.0, noise=0.3, seed=seed * 10 + i) for i in range(4)]
    began = datetime.fromtimestamp(COMMISSIONED_AT, UTC)
    door = now_and_then(60.0, 6.0, seed=seed)
    variables = {
        "OilTemperature": Variable("Float", oil),
        "Pressure": Variable("Double", swing(20.0, 180.0, 12.0, noise=1.0, seed=seed)),
        "Pieces": Variable("UInt32", _whole(counted(12.0))),
        "Energy": Variable("UInt64", _whole(consumed(11.0))),
        "State": Variable("Int32", _whole(phases((0, 1, 2, 3), (3.0, 2.0, 5.0, 2.0)))),
        "Vibration": Variable("UInt16", _whole(swing(100.0, 400.0, 7.0, noise=20.0, seed=seed))),
        "Drift": Variable("Int16", _whole(swing(-900.0, 900.0, 600.0, seed=seed))),
        "DoorOpen": Variable("Boolean", lambda t: bool(door(t))),
        "Recipe": Variable("String", lambda t: _RECIPES[int(recipe(t))]),
        "Operator": Variable("LocalizedText", lambda t: _OPERATORS[int(operator(t))]),
        "LastService": Variable("DateTime", lambda t: began + timedelta(days=t // 86400)),
        "Program": Variable("Byte", _whole(chosen(range(1, 9), 60.0, seed=seed))),
        "Zones": Variable("Double", lambda t: [round(zone(t), 1) for zone in zones]),
    }
    return {f"{name}.{variable}": held for variable, held in variables.items()}


def _boiler() -> dict[str, Variable]:
    broken = now_and_then(90.0, 10.0, seed=9)
    return {
        "Boiler.Level": Variable(
            "Double", swing(30.0, 90.0, 300.0, seed=9), lambda t: BAD_SENSOR if broken(t) else "Good"
        ),
        "Boiler.Setpoint": Variable("Int32", _whole(chosen((75, 80, 85), 45.0, seed=9))),
    }


def _whole(signal: Signal) -> Callable[[float], int]:
    return lambda t: round(signal(t))
