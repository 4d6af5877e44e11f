"""The vendor's event objects, and rows of numbers for them: the edge where one becomes the other."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np

from nrt_sim.chips.speck import columns as c
from nrt_sim.chips.speck import figures
from nrt_sim.chips.speck.kernels import I64


class Spike:
    """An event to a core or from a monitored one. timestamp: µs on the board's stop watch, 32 bits."""

    __slots__ = ("feature", "layer", "timestamp", "x", "y")

    def __init__(self, layer: int = 0, x: int = 0, y: int = 0, feature: int = 0, timestamp: int = 0) -> None:
        self.layer, self.x, self.y, self.feature, self.timestamp = layer, x, y, feature, timestamp


class DvsEvent:
    """An event of a pixel; p is True for ON."""

    __slots__ = ("p", "timestamp", "x", "y")

    def __init__(self, x: int = 0, y: int = 0, p: bool = False, timestamp: int = 0) -> None:
        self.x, self.y, self.p, self.timestamp = x, y, p, timestamp


class _Neuron:
    __slots__ = ("address", "layer", "neuron_state")

    def __init__(self, layer: int = 0, address: int = 0, neuron_state: int = 0) -> None:
        self.layer, self.address, self.neuron_state = layer, address, neuron_state


class ReadNeuronValue(_Neuron):
    """Asks for a neuron's state; carries no time."""

    __slots__ = ()


class WriteNeuronValue(_Neuron):
    """Sets a neuron's state; carries no time."""

    __slots__ = ()


class NeuronValue(_Neuron):
    """The answer to ReadNeuronValue."""

    __slots__ = ()


class _Pixel:
    __slots__ = ("x", "y")

    def __init__(self, x: int = 0, y: int = 0) -> None:
        self.x, self.y = x, y


class KillSensorPixel(_Pixel):
    """Makes a pixel silent."""

    __slots__ = ()


class ResetSensorPixel(_Pixel):
    """Undoes KillSensorPixel."""

    __slots__ = ()


class ReadoutValue:
    """What the readout block says at a tick: 21 bits, see `readout`."""

    __slots__ = ("timestamp", "value")

    def __init__(self, value: int = 0, timestamp: int = 0) -> None:
        self.value, self.timestamp = value, timestamp


class ReadoutPinValue:
    """The class on the readout pins, when the interrupt pin rose."""

    __slots__ = ("index", "timestamp")

    def __init__(self, index: int = 0, timestamp: int = 0) -> None:
        self.index, self.timestamp = index, timestamp


class Measurement:
    """One sample of one rail, W."""

    __slots__ = ("channel", "timestamp", "value")

    def __init__(self, channel: int = 0, value: float = 0.0, timestamp: int = 0) -> None:
        self.channel, self.value, self.timestamp = channel, value, timestamp


_INPUT: Final[dict[type, tuple[int, tuple[str, ...], tuple[int, ...]]]] = {
    Spike: (c.SPIKE, ("timestamp", "layer", "x", "y", "feature"), (c.WHEN, c.LAYER, c.X, c.Y, c.F)),
    DvsEvent: (c.PIXEL, ("timestamp", "x", "y", "p"), (c.WHEN, c.X, c.Y, c.F)),
    ReadNeuronValue: (c.READ, ("layer", "address"), (c.LAYER, c.X)),
    WriteNeuronValue: (c.WRITE, ("layer", "address", "neuron_state"), (c.LAYER, c.X, c.Y)),
    KillSensorPixel: (c.KILL, ("x", "y"), (c.X, c.Y)),
    ResetSensorPixel: (c.REVIVE, ("x", "y"), (c.X, c.Y)),
}
"""Per class: its code, its attributes, and the columns that they go to."""


def rows(events: Sequence[Any]) -> I64:
    """The events as rows, WHEN in µs as given (-1 where an event has no time).

    Raises TypeError for what is no input event, or a number out of its attribute's range.
    """
    parts = [_rows(kind, list(group)) for kind, group in groupby(events, type)]
    return np.concatenate(parts) if parts else np.zeros((0, c.N_EVENT), np.int64)


def _rows(kind: type, events: list[Any]) -> I64:
    if kind not in _INPUT:
        raise TypeError(f"{kind.__name__} is no input event of Speck2f")
    code, names, columns = _INPUT[kind]
    take = np.dtype((np.int64, len(names)))
    out: I64 = np.zeros((len(events), c.N_EVENT), np.int64)
    out[:, c.WHEN], out[:, c.WHAT] = -1, code
    out[:, columns] = np.fromiter(map(operator.attrgetter(*names), events), take, len(events))
    for column, limit in _limits(code):
        if len(out) and (out[:, column].min() < limit[0] or out[:, column].max() > limit[1]):
            raise TypeError(f"a number of a {kind.__name__} is not within {limit[0]} and {limit[1]}")
    if code in (c.READ, c.WRITE):
        words = np.array(figures.NEURON_WORDS)[out[:, c.LAYER]]
        if bool(np.any(out[:, c.X] >= words)):
            raise TypeError("a neuron address is beyond its core's memory")
    return out


def _limits(code: int) -> Iterator[tuple[int, tuple[int, int]]]:
    """Which columns of an input event are checked, and their least and largest value."""
    if code in (c.SPIKE, c.READ, c.WRITE):
        yield c.LAYER, (0, figures.CORES - 1)
    if code in (c.SPIKE, c.PIXEL):
        yield c.WHEN, (0, 0xFFFF_FFFF)
    if code in (c.READ, c.WRITE):
        yield c.X, (0, max(figures.NEURON_WORDS) - 1)
        yield c.Y, (-32768, 32767)
    else:
        yield c.X, (0, figures.PIXELS - 1)
        yield c.Y, (0, figures.PIXELS - 1)
        yield c.F, (0, figures.MAX_FEATURES - 1)


_OUTPUT: Final[dict[int, Callable[[int, int, int, int, int], Any]]] = {
    c.SPIKE: lambda t, layer, x, y, f: Spike(layer, x, y, f, t),
    c.PIXEL: lambda t, _, x, y, f: DvsEvent(x, y, bool(f), t),
    c.NEURON: lambda _t, layer, x, y, _f: NeuronValue(layer, x, y),
    c.READ_VALUE: lambda t, _l, x, _y, _f: ReadoutValue(x, t),
    c.PIN: lambda t, _l, x, _y, _f: ReadoutPinValue(x, t),
}


def objects(out: I64) -> list[Any]:
    """The events of rows whose WHEN is the stamp, µs."""
    return [_OUTPUT[what](t, layer, x, y, f) for t, what, layer, x, y, f in out.tolist()]
