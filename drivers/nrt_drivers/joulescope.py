"""`joulescope:` a Joulescope JS110 or JS220, through its vendor's package (`pip install 'nrt-runtime[meters]'`).

The instrument samples current and voltage at 1 to 2 MS/s and adds up the energy itself; its package hands on that sum
with every statistic, some twice a second, from a thread of its own. A lap ends with the first statistic that comes
after it was asked for. Never tried on one: the calls are those of the package's own examples
(jetperch/pyjoulescope_examples), and were looked up in joulescope 1.5.0.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from nrt.errors import ConfigError, DeviceError, DeviceTimeout, MissingDependency, NotFound
from nrt.profile.energy import Kind
from nrt.profile.meters import Channel, Lap
from nrt.profile.meters.tally import CounterTally
from nrt.registry import Uri

_PATIENCE_S: Final = 5.0


def _package() -> Any:
    """The vendor's package. Raises MissingDependency."""
    try:
        return importlib.import_module("joulescope")
    except ModuleNotFoundError as error:
        raise MissingDependency("a Joulescope", "joulescope", "meters") from error


class JoulescopeMeter:
    """`joulescope:` the only one there is, `joulescope:SERIAL` that one.

    package: what `import joulescope` gives · seconds: a clock; both for tests · volts: voltage range of the instrument
    """

    kind: Kind = "measured"
    samples_counted: bool = False
    notes: Sequence[str] = ("this driver was never tried on a Joulescope",)

    def __init__(
        self,
        uri: Uri,
        package: Callable[[], Any] = _package,
        seconds: Callable[[], float] = time.monotonic,
        *,
        volts: str = "15V",
    ) -> None:
        self._uri, self._load, self._clock, self._volts = uri, package, seconds, volts
        self._device: Any = None
        self._lock = threading.Lock()
        self._tally = CounterTally(str(uri))
        self._waiting: list[asyncio.Future[Lap]] = []
        self._failure: DeviceError | None = None

    @classmethod
    def availability(cls, package: Callable[[], Any] = _package) -> str:
        """Which are plugged in."""
        try:
            found = [str(device) for device in package().scan(config="off")]
        except MissingDependency as error:
            return str(error)
        return "ready: " + ", ".join(found) if found else "no Joulescope is plugged in"

    @property
    def name(self) -> str:
        """Its URI."""
        return str(self._uri)

    @property
    def instrument(self) -> str:
        """What it is."""
        return str(self._device) if self._device is not None else "Joulescope"

    @property
    def channels(self) -> Sequence[Channel]:
        """What hangs on it."""
        return [Channel("supply", "board on the Joulescope")]

    @property
    def rate_hz(self) -> float:
        """Statistics a second, not samples."""
        return 2.0

    @property
    def shortest_s(self) -> float:
        """Ten statistics."""
        return 5.0

    async def open(self) -> None:
        """Raises MissingDependency, NotFound, DeviceError."""
        if self._device is not None:
            return
        package = await asyncio.to_thread(self._load)
        found = {str(device): device for device in await asyncio.to_thread(package.scan, config="off")}
        chosen = [device for name, device in found.items() if name.endswith(self._uri.place)]
        if len(chosen) != 1:
            there = ", ".join(found) or "none"
            raise NotFound(
                self._uri.place or "joulescope",
                f"{self._uri} means {len(chosen)} of the Joulescopes that are plugged in; there is {there}",
                tuple(found),
            )
        (device,) = chosen
        self._tally = CounterTally(str(self._uri))
        device.statistics_callback_register(self._took, "sensor")
        await asyncio.to_thread(self._start, device)
        self._device = device
        try:
            await self.lap()
        except BaseException:
            await self.close()
            raise

    def _start(self, device: Any) -> None:
        """Opens it and sets its ranges, which waits for the instrument. Raises DeviceError; it is closed then."""
        try:
            device.open()
            device.parameter_set("i_range", "auto")
            device.parameter_set("v_range", self._volts)
        except Exception as error:  # the package raises what its USB library does
            with contextlib.suppress(Exception):
                device.close()
            raise DeviceError(str(self._uri), f"cannot be opened: {error}") from error

    async def close(self) -> None:
        """Lets go of it; may be called twice."""
        device, self._device = self._device, None
        if device is not None:
            await asyncio.to_thread(device.close)

    async def lap(self) -> Sequence[Lap]:
        """Raises DeviceTimeout where no statistic comes, DeviceError for a sum that went back."""
        if self._device is None:
            raise ConfigError(f"{self._uri}: a meter is opened before it is asked")
        found: asyncio.Future[Lap] = asyncio.get_running_loop().create_future()
        with self._lock:
            self._waiting.append(found)
        try:
            async with asyncio.timeout(_PATIENCE_S):
                return [await found]
        except TimeoutError:
            raise DeviceTimeout(str(self._uri), f"no statistic came in {_PATIENCE_S:g} s") from None

    def _took(self, statistics: Mapping[str, Any], *_: object) -> None:
        """A statistic, in the package's thread."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
            try:
                self._tally.add(self._clock(), float(statistics["accumulators"]["energy"]["value"]))
            except DeviceError as error:
                self._failure = error
            failure, self._failure = (self._failure, None) if waiting else (None, self._failure)
            lap = self._tally.lap() if waiting and failure is None else None
        for found in waiting:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                found.get_loop().call_soon_threadsafe(_settle, found, lap, failure)


def _settle(found: asyncio.Future[Lap], lap: Lap | None, failure: DeviceError | None) -> None:
    if found.done():
        return
    if failure is not None:
        found.set_exception(failure)
    elif lap is not None:
        found.set_result(lap)
