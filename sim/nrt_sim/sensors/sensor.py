"""Sensor: light in, events out. A simulated event camera with its noise and its readout.

```python
sensor = Sensor("davis346", seed=7)
sensor.step(image, 0)                    # the first picture: nothing has changed yet
events = sensor.step(next_image, 1_000)  # EVENT records of [0, 1000) µs
```
The model: `pixels` (photoreceptor, thresholds, reset, leak), `noise` (shot noise, hot pixels), `readout` (arbiter,
FIFO, time stamps). The numbers of real sensors: `presets`. The same seed and the same light give the same events on
every machine: see `arithmetic`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from nrt.errors import ConfigError, NotFound
from nrt.formats.words import BITS
from nrt.jit import jit
from nrt.packet import EVENT, Records, words
from nrt_sim.sensors import noise, pixels, readout
from nrt_sim.sensors.arithmetic import exp, normal, uniform
from nrt_sim.sensors.noise import Floats, Noise
from nrt_sim.sensors.order import sort
from nrt_sim.sensors.parameters import Parameters
from nrt_sim.sensors.presets import PRESETS

LONGEST: Final = (1 << noise.TIME_BITS) - 1
"""The longest step in µs: 4.2 s."""


_LARGEST: Final = 0x7F7FFFFF
"""The bits of the largest finite float32."""


class Sensor:
    """A sensor named in `PRESETS`, or of given Parameters; `shape` (height, width) replaces the preset's.

    Raises NotFound for an unknown preset, ConfigError for an impossible size or seed.
    """

    def __init__(
        self, preset: str | Parameters, *, shape: tuple[int, int] | None = None, seed: int = 0
    ) -> None:
        self.parameters = preset if isinstance(preset, Parameters) else named(preset)
        self.shape = self.parameters.shape if shape is None else (int(shape[0]), int(shape[1]))
        if not (1 <= self.shape[0] <= 4096 and 1 <= self.shape[1] <= 4096):
            raise ConfigError(f"a sensor of shape {self.shape}; each side must lie between 1 and 4096 pixels")
        self.seed = seed
        self._pixels = self.shape[0] * self.shape[1]
        self._streams = noise.keys(seed)
        self._columns, self._phase = _columns(self.parameters, self._pixels, self._streams)
        factor = noise.factors(
            self.parameters, self._pixels, self._columns.on, self._columns.off, self._streams[3]
        )
        self._noise = Noise(self.parameters, factor, self._streams)
        given = self.parameters.readout
        self._bus = readout.Bus(given, self.shape[0]) if given is not None else None
        self._scratch = pixels.chunk()
        c = self._columns
        self._addresses = (
            c.v.ctypes.data,
            c.memory.ctypes.data,
            c.on.ctypes.data,
            c.off.ctypes.data,
            c.leak.ctypes.data,
        )
        self._events = np.empty(1 << 14, np.int64)
        self._spare = np.empty(1 << 14, np.int64)
        self._out: Records = np.empty(1 << 14, EVENT)
        self.reset()

    def reset(self) -> None:
        """Forgets all it saw: the next step is the first one again, and with the same light gives the same events."""
        self._now: int | None = None
        self._scratch.cursor[0] = -1
        if self._bus is not None:
            self._bus.reset()

    @property
    def counters(self) -> Mapping[str, int]:
        """dropped: events that found the readout's FIFO full · waiting: events not read out yet. Only what is not 0."""
        if self._bus is None:
            return {}
        counts = {"dropped": self._bus.dropped, "waiting": self._bus.waiting}
        return {name: count for name, count in counts.items() if count}

    def step(self, intensity: NDArray[np.float32], t: int) -> Records:
        """The events of [t of the step before, t), in time order, while the light was `intensity`.

        intensity: lux at every pixel, (height, width); positive and finite. t: µs, later than before. The first step
        only shows the pixels what there is: no events. The result is valid until the next call.
        Raises ConfigError for another size, for light that is not positive, for time that does not advance; the
        sensor is then as it was before.
        """
        light = self._checked(intensity)
        if self._now is None:
            self._begin(light, t)
            return self._out[:0]
        span = t - self._now
        if not 0 < span <= LONGEST:
            raise ConfigError(
                f"a step from {self._now} to {t} µs; time must advance, by at most {LONGEST} µs at once"
            )
        start, self._now = self._now, t
        count = self._sense(light, start, span)
        ordered = sort(self._events, self._spare, count, 33, span.bit_length())
        return self._read_out(ordered, count, start, span)

    def _checked(self, intensity: NDArray[np.float32]) -> Floats:
        if intensity.shape != self.shape:
            raise ConfigError(
                f"a picture of shape {intensity.shape}; this sensor has {self.shape} and cannot change its size"
            )
        light = np.ascontiguousarray(intensity, np.float32).reshape(-1)
        low, high = pixels.extremes(light.view(np.int32))
        if low < 1 or high > _LARGEST:
            self._refuse(light)
        self._darkest = float(np.int32(low).view(np.float32))
        return light

    def _refuse(self, light: Floats) -> NoReturn:
        dark = int(np.flatnonzero(~((light > 0) & (light < np.inf)))[0])
        y, x = divmod(dark, self.shape[1])
        raise ConfigError(
            f"the intensity at x={x}, y={y} is {light[dark]}; it must be positive and finite (lux: a moonlit "
            "night has 0.1), because pixels see its logarithm"
        )

    def _begin(self, light: Floats, t: int) -> None:
        self._now = t
        pixels.settle(light, self._phase, np.float32(self.parameters.dark), self._columns)
        self._noise.reset(t)

    def _sense(self, light: Floats, start: int, span: int) -> int:
        """Fills `_events`, by pixel; returns how many."""
        p = self.parameters
        step = pixels.Step(
            span,
            np.float32(p.dark),
            np.float32(min(2e-6 * math.pi * p.bandwidth * span, 1e9)),
            np.float32(p.corner),
            np.float32(p.leak_light / p.leak / 1e3 if p.leak else 0.0),
            p.refractory,
            self.shape[1],
        )
        found, noises = self._noise.step(light, self._darkest, start, span)
        found = sort(found, np.empty_like(found), noises, 23, self._pixels.bit_length())
        found[noises] = pixels.NOBODY
        while True:
            count = pixels.sense(
                light,
                light.ctypes.data,
                found,
                self._columns,
                self._addresses,
                step,
                self._scratch,
                BITS.ctypes.data,
                self._events,
            )
            if count >= 0:
                return count
            self._events = np.concatenate([self._events, self._events])
            self._spare = np.empty_like(self._events)

    def _read_out(self, events: NDArray[np.int64], count: int, start: int, span: int) -> Records:
        waiting = self._bus.waiting if self._bus is not None else 0
        if len(self._out) < count + waiting:
            self._out = np.empty(2 * (count + waiting), EVENT)
        if self._bus is None:
            readout.release(events, count, start, words(self._out).view(np.int64))
            return self._out[:count]
        return self._out[: self._bus.step(events, count, start, span, self._out)]


def named(preset: str) -> Parameters:
    """The parameters of a preset. Raises NotFound."""
    if preset not in PRESETS:
        raise NotFound(preset, f"no sensor '{preset}'; there is {', '.join(PRESETS)}", list(PRESETS))
    return PRESETS[preset]


def _columns(p: Parameters, count: int, streams: noise.Keys) -> tuple[pixels.Columns, Floats]:
    """Every pixel's own numbers, and the phase of its leak."""
    size = -(-count // pixels.CHUNK) * pixels.CHUNK
    on, off, leak, phase = (pixels.column(size, number, 1.0) for number in range(4))
    _draw_pattern(
        count, (p.on, p.off, p.mismatch, 1e-6 * p.leak, p.leak_mismatch), streams, on, off, leak, phase
    )
    v, memory = pixels.column(size, 3), pixels.column(size, 4)
    return pixels.Columns(v, memory, on, off, leak), phase


@jit
def _draw_pattern(
    count: int,
    numbers: tuple[float, float, float, float, float],
    streams: noise.Keys,
    on: Floats,
    off: Floats,
    leak: Floats,
    phase: Floats,
) -> None:
    """Thresholds: normal, at least 0.01. Leak: log-normal. Phase: even, for pixels that leak; 0 for others."""
    nominal_on, nominal_off, mismatch, leak_rate, leak_mismatch = numbers
    for i in range(count):
        k = np.uint64(i)
        on[i] = max(nominal_on + mismatch * normal(streams[0], np.uint64(2) * k), 0.01)
        off[i] = max(nominal_off + mismatch * normal(streams[0], np.uint64(2) * k + np.uint64(1)), 0.01)
        leak[i] = leak_rate * on[i] * exp(leak_mismatch * normal(streams[1], k))
        phase[i] = uniform(streams[2], k) if leak_rate > 0 else 0.0
