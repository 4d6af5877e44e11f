"""What a lab's worker offers: its devices, opened and leased before they are offered, and the task that runs on them.

A worker of Dask counts resources, and its scheduler sends a task only where the resource that it asks for is. The
resource here is a device by its name. Resources are promises, so the worker keeps them itself: every device is open,
and leased if it is there once (`nrt.lease`), from before the first offer until the worker ends. A device that cannot
be opened again after a failure is withdrawn: the scheduler hears of none, tasks on their way are sent back to it, and
the device is tried again now and then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from nrt.errors import ConfigError, DeployError, MissingDependency, NrtError
from nrt.network import Network
from nrt.sweep.item import Item, Row
from nrt.sweep.station import Station
from nrt.version import __version__

try:
    from distributed import Reschedule, Worker, WorkerPlugin, get_worker
except ModuleNotFoundError as missing:
    raise MissingDependency("a lab of machines", "distributed", "lab") from missing

PLUGIN: Final = "nrt-offers"
AGAIN: Final = 10.0
"""s between two attempts to open a device that was withdrawn."""
_NAMED: Final = re.compile(r"(?P<name>[A-Za-z0-9_-]+)=(?P<device>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Offer:
    """A device under the name that sweeps ask for: its URI, unless another is given as NAME=URI."""

    name: str
    device: str

    @classmethod
    def parse(cls, text: str) -> Offer:
        """`speck+samna:`, or `board=tinyodin+serial:///dev/ttyACM0` where machines have it at different places."""
        match = _NAMED.fullmatch(text)
        return cls(match["name"], match["device"]) if match else cls(text, text)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a network does not run on a device, wherever it is."""

    reason: str


class Offers(WorkerPlugin):
    """The devices of one worker, in the worker."""

    name = PLUGIN

    def __init__(self, offers: Sequence[Offer]) -> None:
        self._all = [(offer.name, Station(offer.device)) for offer in offers]
        self._free: dict[str, asyncio.Queue[Station]] = {}
        self._there: Counter[str] = Counter()
        self._worker: Worker | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def resources(self) -> dict[str, float]:
        """How many devices there are by name."""
        return {name: float(count) for name, count in Counter(name for name, _ in self._all).items()}

    async def open(self) -> None:
        """Opens and leases everything that will be offered. Raises what opening raises; nothing is open then."""
        if not self._all:
            raise ConfigError("nothing is offered; name a device with --offer")
        try:
            for name, station in self._all:
                await station.open()
                self._there[name] += 1
                self._free.setdefault(name, asyncio.Queue()).put_nowait(station)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Closes every device and ends its lease."""
        for task in self._tasks:
            task.cancel()
        for _, station in self._all:
            with contextlib.suppress(NrtError, OSError):
                await station.close()

    def setup(self, worker: Worker) -> None:
        """Dask calls it when the worker starts."""
        self._worker = worker

    async def run(self, item: Item, network: Network, limit: float | None) -> Row | Refusal:
        """Runs an item on a free device of that name. Raises Reschedule where there is none left."""
        if not self._there[item.device]:
            raise Reschedule
        station = await self._free[item.device].get()
        usable = True
        try:
            return await station.run(item, network, limit)
        except DeployError as error:
            return Refusal(str(error))
        except NrtError as error:
            usable = False
            await self._withdraw(item.device, station, error)
            raise Reschedule from error
        finally:
            if usable:
                self._free[item.device].put_nowait(station)

    async def _withdraw(self, name: str, station: Station, error: NrtError) -> None:
        """Tells the scheduler that a device is gone, and has it tried again."""
        self._there[name] -= 1
        await self._announce(name)
        self._log(f"{name} is withdrawn: {error}")
        task = asyncio.create_task(self._again(name, station), name="nrt.offer")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _again(self, name: str, station: Station) -> None:
        while True:
            await asyncio.sleep(AGAIN)
            with contextlib.suppress(NrtError, OSError):
                await station.open()
                break
        self._there[name] += 1
        self._free[name].put_nowait(station)
        await self._announce(name)
        self._log(f"{name} is back")

    async def _announce(self, name: str) -> None:
        """Tells the scheduler alone. The worker's own count stays, or tasks that wait here would wait for ever."""
        assert self._worker is not None
        await self._worker.scheduler.set_resources(
            resources={name: self._there[name]}, worker=self._worker.contact_address
        )

    def _log(self, text: str) -> None:
        assert self._worker is not None
        self._worker.log_event(PLUGIN, text)
        print(text, flush=True)


class Networks(WorkerPlugin):
    """The networks of one sweep on every worker, also on those that come later. Sent once, not with every item."""

    def __init__(self, name: str, networks: Mapping[str, Network]) -> None:
        self.name = name
        self.networks = dict(networks)


async def run_item(sweep: str, item: Item, limit: float | None) -> Row | Refusal:
    """The task: runs on a worker that offers the item's device. sweep: name of its `Networks`."""
    plugins: dict[str, Any] = get_worker().plugins
    offers, networks = plugins.get(PLUGIN), plugins.get(sweep)
    if not isinstance(offers, Offers) or not isinstance(networks, Networks):
        await asyncio.sleep(0.1)  # a worker that joins gets tasks and plugins at the same time
        raise Reschedule
    return await offers.run(item, networks.networks[item.model], limit)


def about() -> str:
    """The version of nrt on a worker."""
    return __version__


async def serve(
    scheduler: str,
    offers: Sequence[Offer],
    *,
    name: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Offers devices to the scheduler at `scheduler` until it is gone or the task is cancelled.

    ready: called with the worker's address once it is offered. Raises what opening a device raises, and NrtError
    where no scheduler answers.
    """
    plugin = Offers(offers)
    await plugin.open()
    try:
        worker: Any = Worker(
            scheduler,
            nthreads=len(offers),
            resources=plugin.resources,
            name=name,
            plugins=(plugin,),
            dashboard=False,
            memory_limit=0,
            silence_logs=logging.WARNING,
            death_timeout=10,
        )
        try:
            async with worker:
                if ready is not None:
                    ready(worker.address)
                await worker.finished()
        except (OSError, TimeoutError, ValueError) as error:
            raise NrtError(f"no scheduler answers at {scheduler}: {error}") from error
    finally:
        await plugin.close()
