"""Session: the façade that users hold.

```python
async with nrt.open("cpu:") as device:
    print(await device.deploy("digits.nir"))
    async with device.stream("wave.aedat4?speed=1") as run:
        async for spikes in run:
            ...
    print(run.report)
```
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from nrt import registry
from nrt.clock import microseconds
from nrt.device import Device, Placement
from nrt.errors import ConfigError, DeviceBusy
from nrt.network import Network
from nrt.profile.meters import Meter, measure
from nrt.profile.meters.measure import WINDOWS
from nrt.report import Report, Settings
from nrt.run import Run
from nrt.source import Source


def open(device: str | Device) -> Session:
    """A session on the device that a URI names; use it with `async with`. Raises NotFound, ConfigError."""
    return Session(registry.device(device) if isinstance(device, str) else device)


class Session:
    """An open device. `deploy` a network, then `stream` sources through it, one after the other."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._network: Network | None = None
        self._watched = Settings()
        self._busy = False

    async def __aenter__(self) -> Self:
        try:
            await self._device.open()
        except BaseException:
            await self._device.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._device.close()

    @property
    def device(self) -> Device:
        """The device itself, for what only it can do."""
        return self._device

    @property
    def network(self) -> Network:
        """The deployed network. Raises ConfigError before `deploy`."""
        if self._network is None:
            raise ConfigError("no network is deployed; call deploy first")
        return self._network

    async def fork(self) -> Session:
        """A session on an independent copy of the device, with the same network deployed. Raises Unsupported."""
        forked = Session(await self._device.fork())
        forked._network, forked._watched = self.network, self._watched
        return forked

    async def deploy(
        self,
        network: Network | str | Path,
        *,
        taps: Sequence[str] = (),
        membranes: Sequence[str] = (),
        **reading: Any,
    ) -> Placement:
        """Puts a network, or a NIR file read with `Network.load(path, **reading)`, on the device.

        taps, membranes: populations to be watched besides the outputs. Raises DeployError, ConfigError.
        """
        if isinstance(network, str | Path):
            network = Network.load(network, **reading)
        elif reading:
            raise ConfigError(
                f"{', '.join(reading)}: these say how to read a file, and the network is read already"
            )
        placement = await self._device.deploy(network, taps=taps, membranes=membranes)
        self._network, self._watched = network, Settings(tuple(taps), tuple(membranes))
        return placement

    def stream(
        self,
        source: Source | str | Path,
        *,
        decide: str | int | None = None,
        label: int | None = None,
        deadline: str | int | None = None,
        excerpt: int = 0,
    ) -> Run:
        """A run of `source` (or of what a URI or path names) through the deployed network.

        decide:   length of the windows of stream in each of which the output's winner is told, such as "100ms" or µs
        label:    the right answer, the output's neuron · deadline: what counts as late, such as "5ms" or µs
        excerpt:  output spikes that the report keeps, from the first on, for its raster
        Raises ConfigError, NotFound.
        """
        settings = dataclasses.replace(
            self._watched,
            decide_us=None if decide is None else microseconds(decide),
            label=label,
            deadline_us=None if deadline is None else microseconds(deadline),
            excerpt=excerpt,
        )
        opened = source if isinstance(source, Source) else registry.source(source)
        return Run(opened, self._device, self.network, self._claim, settings)

    async def run(
        self,
        source: Source | str | Path,
        *,
        decide: str | int | None = None,
        label: int | None = None,
        deadline: str | int | None = None,
        excerpt: int = 0,
    ) -> Report:
        """Streams `source` to its end and returns the report; the choices are those of `stream`."""
        run = self.stream(source, decide=decide, label=label, deadline=deadline, excerpt=excerpt)
        async with run:
            async for _ in run:
                pass
        return run.report

    async def measure(
        self, source: str | Path, meters: Sequence[Meter], *, windows: int = WINDOWS, seconds: float = 0.0
    ) -> Report:
        """Streams a source again and again while `meters` look; the last run's report, with their figures in it.

        windows, seconds: how many, and how long at least; see `nrt.profile.meters.measure`, which says how. Figures
        are of one run: of a recording, or of `seconds` of a source that has no end. Raises ConfigError for such a
        source without `seconds`, DeviceError for meters that cannot be trusted.
        """
        endless = not registry.source(source).finite
        if endless and seconds <= 0:
            raise ConfigError(f"{source} has no end; say how long a window is, such as 60s")
        last: list[Report] = []

        async def once() -> None:
            last[:] = [await self._for(source, seconds) if endless else await self.run(source)]

        energy = await measure(meters, once, windows=windows, seconds=seconds)
        return dataclasses.replace(last[0], energy=(*energy, *last[0].energy))

    async def _for(self, source: str | Path, seconds: float) -> Report:
        """A run of `seconds` of a source without an end."""
        run = self.stream(source)
        async with run:
            end = asyncio.get_running_loop().call_later(
                seconds, run.stop, f"its window of {seconds:g} s is over"
            )
            try:
                async for _ in run:
                    pass
            finally:
                end.cancel()
        return run.report

    async def run_all(
        self,
        sources: Sequence[Source | str | Path],
        *,
        jobs: int = 1,
        batch: int = 1,
        done: Callable[[int, Report], None] | None = None,
    ) -> list[Report]:
        """Runs many sources, each from the reset state, several side by side; the reports in the order of `sources`.

        jobs: independent copies of the device · batch: recordings that it computes together, as GPUs do
        done: called with the index and report of each as it ends. A source that fails leaves its error in its
        report; the others go on. Raises Unsupported for what the device cannot do, ConfigError for jobs and batch.
        """
        async with contextlib.AsyncExitStack() as stack:
            free: asyncio.Queue[Session] = asyncio.Queue()
            for device in await self._lanes(jobs, batch):
                session = self if device is self._device else await stack.enter_async_context(Session(device))
                session._network, session._watched = self.network, self._watched
                free.put_nowait(session)

            async def one(index: int) -> Report:
                session = await free.get()
                try:
                    report = await session._attempt(sources[index])
                finally:
                    free.put_nowait(session)
                if done is not None:
                    done(index, report)
                return report

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(index)) for index in range(len(sources))]
            return [task.result() for task in tasks]

    async def _lanes(self, jobs: int, batch: int) -> Sequence[Device]:
        """The devices for runs side by side."""
        if batch == 1:
            return [self._device, *[await self._device.fork() for _ in range(jobs - 1)]]
        if jobs > 1:
            raise ConfigError(f"{jobs} jobs and a batch of {batch}: choose one of the two")
        return await self._device.side_by_side(batch)

    async def _attempt(self, source: Source | str | Path) -> Report:
        """Runs one source; an error ends in its report."""
        run = self.stream(source)
        try:
            async with run:
                async for _ in run:
                    pass
        except Exception as error:
            run.fail(error)
        return run.report

    @contextlib.contextmanager
    def _claim(self) -> Generator[None]:
        if self._busy:
            raise DeviceBusy(self._device.uri, "another run of this session is under way")
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
