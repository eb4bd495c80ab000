"""Dimensions and units.

A dimension is a triple of exponents over (time, voltage, current); every quantity of a neuron model follows from these
three. Values are kept in the coherent scale ms, mV, pA (so nS = pA/mV, pF = pA·ms/mV, GOhm = mV/pA, fC = pA·ms), in which
typical numbers lie near 1.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dimension:
    """Exponents of time, voltage and current; fractions appear under `sqrt`."""

    time: float = 0
    voltage: float = 0
    current: float = 0

    def __mul__(self, other: Dimension) -> Dimension:
        return Dimension(self.time + other.time, self.voltage + other.voltage, self.current + other.current)

    def __truediv__(self, other: Dimension) -> Dimension:
        return self * other.power(-1)

    def power(self, exponent: float) -> Dimension:
        return Dimension(self.time * exponent, self.voltage * exponent, self.current * exponent)


ONE = Dimension()
TIME = Dimension(time=1)
VOLTAGE = Dimension(voltage=1)
CURRENT = Dimension(current=1)
FREQUENCY = Dimension(time=-1)
CONDUCTANCE = CURRENT / VOLTAGE
RESISTANCE = VOLTAGE / CURRENT
CHARGE = CURRENT * TIME
CAPACITANCE = CHARGE / VOLTAGE

# The words that stand as types of ports and arguments.
DIMENSIONS: dict[str, Dimension] = {
    "time": TIME,
    "voltage": VOLTAGE,
    "current": CURRENT,
    "charge": CHARGE,
    "conductance": CONDUCTANCE,
    "capacitance": CAPACITANCE,
    "resistance": RESISTANCE,
    "frequency": FREQUENCY,
    "real": ONE,
}

# Coherent unit of each dimension that has a name.
_COHERENT: dict[Dimension, str] = {
    ONE: "1",
    TIME: "ms",
    VOLTAGE: "mV",
    CURRENT: "pA",
    CHARGE: "fC",
    CONDUCTANCE: "nS",
    CAPACITANCE: "pF",
    RESISTANCE: "GOhm",
    FREQUENCY: "1/ms",
    VOLTAGE / TIME: "mV/ms",
    CURRENT / TIME: "pA/ms",
    CONDUCTANCE / TIME: "nS/ms",
}

_PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9}

# unit stem -> (dimension, decimal exponent of one stem in the coherent scale)
_STEMS: dict[str, tuple[Dimension, int]] = {
    "s": (TIME, 3),
    "V": (VOLTAGE, 3),
    "A": (CURRENT, 12),
    "C": (CHARGE, 15),
    "S": (CONDUCTANCE, 9),
    "F": (CAPACITANCE, 12),
    "Ohm": (RESISTANCE, -9),
    "Hz": (FREQUENCY, -3),
}


def _table() -> dict[str, tuple[Dimension, float]]:
    units: dict[str, tuple[Dimension, float]] = {}
    for stem, (dimension, exponent) in _STEMS.items():
        for prefix, power in _PREFIXES.items():
            units[prefix + stem] = (dimension, 10.0 ** (power + exponent))
    units["min"] = (TIME, 60e3)
    return units


# name -> (dimension, size in the coherent scale); `step` is the network's dt and is resolved where dt is known.
UNITS: dict[str, tuple[Dimension, float]] = _table()
STEP_UNITS = ("step", "steps")
TRAIN_UNITS = ("epoch", "epochs", "update", "updates")


def unit_name(dimension: Dimension) -> str:
    """Return the coherent unit of `dimension`, the one that values of emitted code have.

    >>> unit_name(VOLTAGE / TIME), unit_name(CURRENT * CURRENT)
    ('mV/ms', 'pA^2')
    """
    if dimension in _COHERENT:
        return _COHERENT[dimension]
    above: list[str] = []
    below: list[str] = []
    for unit, exponent in (("mV", dimension.voltage), ("pA", dimension.current), ("ms", dimension.time)):
        if exponent:
            size = abs(exponent)
            text = unit if size == 1 else f"{unit}^{size:g}"
            (above if exponent > 0 else below).append(text)
    return ("·".join(above) or "1") + "".join(f"/{unit}" for unit in below)


def unit_quantity(dimension: Dimension) -> str:
    """Return one coherent unit of `dimension` as authors can write it.

    >>> unit_quantity(CURRENT), unit_quantity(ONE / CURRENT), unit_quantity(VOLTAGE / TIME)
    ('1 pA', '1 / 1 pA', '1 mV / 1 ms')
    """
    name = unit_name(dimension).replace("1/", "/")
    first, *below = name.split("/")
    above = first.split("·") if first else []
    text = " * ".join(f"1 {unit}" for unit in above) or "1"
    return text + "".join(f" / 1 {unit}" for unit in below)


def dimension_name(dimension: Dimension) -> str:
    """Return the word for `dimension` with its unit, for messages.

    >>> dimension_name(CURRENT), dimension_name(VOLTAGE / TIME), dimension_name(ONE)
    ('a current (pA)', 'voltage/time (mV/ms)', 'a plain number')
    """
    if dimension == ONE:
        return "a plain number"
    unit = unit_name(dimension)
    for word, known in DIMENSIONS.items():
        if known == dimension:
            return f"a {word} ({unit})"
    for word, known in DIMENSIONS.items():
        if known == dimension * TIME:
            return f"{word}/time ({unit})"
    return f"a quantity in {unit}"
