"""`synth:SCENE`: a scene seen by a simulated sensor, as a camera would stream it."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import numpy as np

from nrt.clock import now
from nrt.errors import ConfigError
from nrt.packet import EVENT, Packet, Records, words
from nrt.registry import Uri
from nrt.source import Source
from nrt.worker import Reader
from nrt_sim.scenes.catalogue import SCENES, View, make
from nrt_sim.scenes.scene import Scene, Truth
from nrt_sim.sensors.parameters import Parameters
from nrt_sim.sensors.presets import PRESETS
from nrt_sim.sensors.sensor import Sensor, named


class SensorSource(Source):
    """Any scene seen by any sensor of the same shape.

    seconds: length; 0: without end · rate: steps per second, each one packet · speed: 1 real time, 0 as fast as
    possible. A paced packet is made when its time has come, so that it shows what a caller steered until then; its
    stamp is that time. Unpaced, up to eight packets are made ahead.
    """

    def __init__(
        self,
        scene: Scene,
        sensor: Sensor,
        *,
        seconds: float = 4.0,
        rate: float = 1_000.0,
        speed: float = 1.0,
        name: str = "synth",
    ) -> None:
        if not 0 <= seconds < 1e9:
            raise ConfigError(f"{name}: seconds is {seconds}; it must be 0 (without end) or more")
        if not 0.25 <= rate <= 1e6:
            raise ConfigError(
                f"{name}: rate is {rate}; it must lie between 0.25 and 1000000 steps per second"
            )
        if not speed >= 0:
            raise ConfigError(f"{name}: speed is {speed}; it must be 0 (as fast as possible) or more")
        if scene.shape != sensor.shape:
            raise ConfigError(f"{name}: a scene of shape {scene.shape} before a sensor of {sensor.shape}")
        self.uri = name
        self.scene = scene
        self.sensor = sensor
        self.shape = (2, *sensor.shape)
        self.scheduled = speed > 0
        self.finite = seconds > 0
        self._span = round(1e6 / rate)
        self._steps = max(round(seconds * 1e6 / self._span), 1) if seconds else 0
        self._speed = speed
        self._name = name
        self._reader: Reader[Packet] | None = None
        self._filter: Callable[[Records], Records] | None = None

    def truth(self, t: int) -> list[Truth]:
        """What is in view at t, µs of the stream's clock."""
        return self.scene.truth(t)

    def attach(self, filter: Callable[[Records], Records]) -> bool:
        self._filter = filter
        return True

    async def packets(self) -> AsyncIterator[Packet]:
        self._reader = Reader(self._produce, depth=8, name="nrt.synth")
        async for packet in self._reader.items():
            yield packet

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.close()
            self._reader = None
        self.scene.close()

    def counters(self) -> Mapping[str, int]:
        return self.sensor.counters

    def identity(self) -> Mapping[str, str]:
        return {"uri": self.uri, "seed": str(self.sensor.seed), "sensor": repr(self.sensor.parameters)}

    def _produce(self, stop: threading.Event) -> Iterator[Packet]:
        light = np.empty(self.scene.shape, np.float32)
        self.sensor.reset()
        self.scene.frame(0, light)
        self.sensor.step(light, 0)
        begin, dropped, k = now(), 0, 0
        while not stop.is_set() and (k < self._steps or not self._steps):
            start, end = k * self._span, (k + 1) * self._span
            due = 0
            if self._speed:
                due = begin + round(end * 1_000 / self._speed)
                wait = due - now()
                if wait > 0 and stop.wait(wait / 1e9):
                    return
            self.scene.frame(end, light)
            events = words(self.sensor.step(light, end)).copy().reshape(-1).view(EVENT)
            if self._filter is not None:
                events = self._filter(events)
            lost = self.sensor.counters.get("dropped", 0) - dropped
            dropped += lost
            yield Packet(events, start, end, due or now(), lost, self._name)
            k += 1


class SynthSource(SensorSource):
    """`synth:SCENE?sensor=davis346&seconds=4&seed=0&speed=1&rate=1000`; SCENE: see `scenes()`.

    sensor: a preset, see `presets()` · width, height: instead of the preset's · light: lux of what is bright ·
    contrast: bright to dark · velocity, degrees: of what moves · file: picture or video, where the scene has one
    """

    def __init__(
        self,
        uri: Uri,
        *,
        sensor: str = "davis346",
        seconds: float = 4.0,
        seed: int = 0,
        speed: float = 1.0,
        rate: float = 1_000.0,
        width: int = 0,
        height: int = 0,
        light: float = 500.0,
        contrast: float = 10.0,
        velocity: float | None = None,
        degrees: float = 0.0,
        file: str = "",
    ) -> None:
        usual = named(sensor).shape
        shape = (height or usual[0], width or usual[1])
        view = View(shape, seed, light, contrast, velocity, degrees, file)
        place = uri.place or "bar"
        super().__init__(
            make(place, view),
            Sensor(sensor, shape=shape, seed=seed),
            seconds=seconds,
            rate=rate,
            speed=speed,
            name=f"synth:{place}",
        )


def scenes() -> dict[str, str]:
    """Scenes that a URI can name, and what they show."""
    return {name: entry.summary for name, entry in SCENES.items()}


def presets() -> dict[str, str]:
    """Sensors that a URI can name, in one line each."""
    return {name: _summary(p) for name, p in PRESETS.items()}


def _summary(p: Parameters) -> str:
    height, width = p.shape
    rate = (
        f", {1e3 / p.readout.event:.3g} million events/s"
        if p.readout is not None
        else ", no noise, no readout"
    )
    return f"{width}x{height} pixels, threshold {p.on:g}{rate}"
