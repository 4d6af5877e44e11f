"""A meter that somebody has to look at again and again: files of sysfs, the counter of a GPU.

A thread looks at every channel each `interval`, so that no wrap and no stall goes unseen, however long a window lasts;
a lap looks once more, at that very moment.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nrt.errors import NrtError
from nrt.profile.energy import Kind
from nrt.profile.meters.base import Channel, Lap
from nrt.profile.meters.tally import Tally


@dataclass(frozen=True, slots=True)
class Probe:
    """One channel and how it is read. read: J of a counter, W of the others; may raise"""

    channel: Channel
    tally: Tally
    read: Callable[[], float]


class PolledMeter(ABC):
    """Subclasses find their probes. seconds: a clock, for tests"""

    kind: Kind = "measured"
    samples_counted: bool = False
    notes: Sequence[str] = ()

    def __init__(self, name: str, interval: float, seconds: Callable[[], float] = time.monotonic) -> None:
        self._name, self._interval, self._clock = name, interval, seconds
        self._probes: Sequence[Probe] = ()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: NrtError | None = None

    @property
    def name(self) -> str:
        """Its URI."""
        return self._name

    @property
    @abstractmethod
    def instrument(self) -> str:
        """What it is."""

    @property
    def channels(self) -> Sequence[Channel]:
        """What was found."""
        return [probe.channel for probe in self._probes]

    @property
    def rate_hz(self) -> float:
        """How often the thread looks."""
        return 1 / self._interval

    @property
    def shortest_s(self) -> float:
        """Twenty looks."""
        return 20 * self._interval

    @abstractmethod
    def _find(self) -> Sequence[Probe]:
        """The probes. Raises NotFound, DeviceError."""

    async def open(self) -> None:
        """Finds the channels, looks at each, and starts to watch. Raises NotFound, DeviceError."""
        if self._thread is not None:
            return
        self._probes, self._failure = self._find(), None
        self._look()
        self._stop.clear()
        self._thread = threading.Thread(target=self._watch, name=f"nrt.{self._name}", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stops watching; may be called twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stop.set()
            thread.join()

    async def lap(self) -> Sequence[Lap]:
        """Up to this moment. Raises what reading a channel failed of."""
        with self._lock:
            failure, self._failure = self._failure, None
            if failure is not None:
                raise failure
            self._look()
            return [probe.tally.lap() for probe in self._probes]

    def _look(self) -> None:
        for probe in self._probes:
            value = probe.read()
            probe.tally.add(self._clock(), value)

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            with self._lock:
                if self._failure is not None:
                    continue
                try:
                    self._look()
                except NrtError as error:
                    self._failure = error
