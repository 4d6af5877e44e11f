"""The lab's executor: items run on the workers of a Dask cluster that offer their devices (`nrt lab worker`).

An item asks for its device as a resource. Dask keeps tasks that ask for what nobody offers, and says nothing; so what
is offered is looked at before anything is submitted and while it runs, and items of a device that nobody offers come
back as not run, after `GRACE` for workers that come back. Only a few items per device are under way at a time: a
worker that joins finds work, and a sweep that is stopped leaves nothing behind.

A worker that dies loses what it was running; Dask gives those items to another one. An item under which several workers
died is at fault and becomes a row with that error. Every item has one future, and its row is taken once, so that no
way of dying counts anything twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import Counter, deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any, Final, cast

from nrt.errors import MissingDependency, NrtError
from nrt.network import Network
from nrt.sweep.executor import NotRun, groups
from nrt.sweep.item import Item, Row
from nrt.sweep.offers import Networks, Refusal, about, run_item
from nrt.version import __version__

try:
    from distributed import Client, KilledWorker
except ModuleNotFoundError as missing:
    raise MissingDependency("a lab of machines", "distributed", "lab") from missing

GRACE: Final = 10.0
"""s that a device may be offered by nobody before its items are given up."""
LOOK: Final = 0.5
"""s between two looks at what is offered."""
AHEAD: Final = 2
"""Items under way for each device that is offered: one that runs and one that waits for it."""


@dataclass(frozen=True, slots=True)
class Workplace:
    """A worker of the lab. offers: devices by name · running: tasks that it has now"""

    address: str
    name: str
    host: str
    offers: Mapping[str, int]
    running: int


@dataclass(frozen=True, slots=True)
class Lab:
    """Runs items where the devices are.

    scheduler: `tcp://host:8786` · limit: s for each item, None for any · grace: see `GRACE`
    """

    scheduler: str
    limit: float | None = None
    grace: float = GRACE

    async def run(
        self, items: Sequence[Item], networks: Mapping[str, Network], done: Callable[[Row], None]
    ) -> Sequence[NotRun]:
        """See `Executor.run`. Raises NrtError where no scheduler answers or its workers run another nrt."""
        async with _connected(self.scheduler) as client:
            queues = [_Queue(*key, deque(group)) for key, group in groups(items).items()]
            offered = await _offered(client)
            for queue in queues:
                if not offered[queue.device]:
                    queue.refuse(_nobody(queue.device, offered))
            if any(queue.left for queue in queues):
                await _same_version(client)
                async with _distributed(client, networks) as sweep:
                    await _Work(client, self, sweep, done).finish(queues)
        return [queue.not_run() for queue in queues if queue.left]


@dataclass
class _Queue:
    """The items of one model for one device. reason: why what is left of them will not run."""

    device: str
    model: str
    left: deque[Item]
    reason: str = ""
    under_way: set[asyncio.Task[None]] = field(default_factory=set["asyncio.Task[None]"])

    def refuse(self, reason: str) -> None:
        self.reason = self.reason or reason

    def not_run(self) -> NotRun:
        return NotRun(self.device, self.model, len(self.left), self.reason)


class _Work:
    """Keeps every device of the lab busy until nothing is left that can be run."""

    def __init__(self, client: Any, lab: Lab, sweep: str, done: Callable[[Row], None]) -> None:
        self._client, self._lab, self._sweep, self._done = client, lab, sweep, done
        self._missing: dict[str, float] = {}

    async def finish(self, queues: Sequence[_Queue]) -> None:
        """Returns when every queue is empty or refused, with nothing under way. Raises what `done` raised."""
        try:
            while any(queue.under_way or (queue.left and not queue.reason) for queue in queues):
                try:
                    offered = await _offered(self._client)
                except OSError as error:
                    for queue in queues:
                        queue.refuse(
                            f"the scheduler at {self._lab.scheduler} is gone, or dropped it: {error}"
                        )
                    return
                for device in {queue.device for queue in queues}:
                    self._serve(device, [queue for queue in queues if queue.device == device], offered)
                tasks = [task for queue in queues for task in queue.under_way]
                if tasks:
                    await asyncio.wait(tasks, timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(LOOK)
                for queue in queues:
                    _collect(queue)
        finally:
            tasks = [task for queue in queues for task in queue.under_way]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

    def _serve(self, device: str, queues: Sequence[_Queue], offered: Counter[str]) -> None:
        """Begins as many items as the device has places for; gives up where it has had none for too long."""
        clock = asyncio.get_running_loop().time()
        if offered[device]:
            self._missing.pop(device, None)
        elif clock - self._missing.setdefault(device, clock) >= self._lab.grace:
            for queue in queues:
                queue.refuse(_nobody(device, offered))
                for task in queue.under_way:
                    task.cancel()
        places = AHEAD * offered[device] - sum(len(queue.under_way) for queue in queues)
        for queue in queues:
            while places > 0 and queue.left and not queue.reason:
                queue.under_way.add(
                    asyncio.create_task(self._one(queue, queue.left.popleft()), name="nrt.item")
                )
                places -= 1

    async def _one(self, queue: _Queue, item: Item) -> None:
        """One item, from its submission to its row; what has none goes back to its queue."""
        future = self._client.submit(
            run_item,
            self._sweep,
            item,
            self._lab.limit,
            key=f"{self._sweep}-{item.id}",
            resources={item.device: 1},
            pure=False,
        )
        answer: Row | Refusal | None = None
        try:
            answer = await future
        except KilledWorker as error:
            answer = Row.failed(
                item, "", error.allowed_failures + 1, f"{error.allowed_failures + 1} workers died running it"
            )
        except CancelledError:  # Dask's, which says that the future will never be; not that of a task
            queue.refuse(f"the scheduler at {self._lab.scheduler} is gone, or dropped it")
        except Exception as error:
            queue.refuse(f"{type(error).__name__}: {error}")
        finally:
            if answer is None or isinstance(answer, Refusal):
                queue.left.appendleft(item)
            with contextlib.suppress(Exception):
                await asyncio.shield(future.cancel()) if answer is None else future.release()
        if isinstance(answer, Refusal):
            queue.refuse(answer.reason)
        elif answer is not None:
            self._done(answer)


def _collect(queue: _Queue) -> None:
    """Forgets tasks that are done. Raises what one of them raised."""
    for task in [task for task in queue.under_way if task.done()]:
        queue.under_way.discard(task)
        if not task.cancelled():
            task.result()


async def status(scheduler: str) -> list[Workplace]:
    """The workers of a lab. Raises NrtError where no scheduler answers."""
    async with _connected(scheduler) as client:
        workers = (await client.scheduler.identity())["workers"]
    return [
        Workplace(
            address,
            str(worker["name"]),
            str(worker["host"]),
            {name: int(count) for name, count in worker["resources"].items() if count},
            int(worker["metrics"].get("task_counts", {}).get("executing", 0)),
        )
        for address, worker in workers.items()
    ]


@contextlib.asynccontextmanager
async def _connected(scheduler: str) -> AsyncGenerator[Any]:
    """A client of the scheduler. Raises NrtError where none answers, or it goes away."""
    client: Any = cast(Any, Client)(scheduler, asynchronous=True, timeout=3, set_as_default=False)
    try:
        await client
    except (OSError, TimeoutError, ValueError) as error:
        raise NrtError(f"no scheduler answers at {scheduler}: {error}") from error
    try:
        yield client
    except OSError as error:
        raise NrtError(f"the scheduler at {scheduler} is gone: {error}") from error
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def _distributed(client: Any, networks: Mapping[str, Network]) -> AsyncGenerator[str]:
    """The networks on every worker, now and later; yields the name that tasks find them by."""
    name = f"nrt-sweep-{uuid.uuid4().hex[:12]}"
    await client.register_plugin(Networks(name, networks), name=name)
    try:
        yield name
    finally:
        with contextlib.suppress(Exception):  # a worker that is gone has nothing to be removed
            await client.unregister_worker_plugin(name)


async def _offered(client: Any) -> Counter[str]:
    """How many devices there are by name, over all workers. Raises OSError where the scheduler is gone."""
    workers = (await client.scheduler.identity())["workers"].values()
    return sum(
        (Counter({k: int(v) for k, v in worker["resources"].items()}) for worker in workers), Counter[str]()
    )


def _nobody(device: str, offered: Counter[str]) -> str:
    there = ", ".join(sorted(+offered)) or "nothing"
    return f"nobody in the lab offers {device}; there is {there} (nrt lab worker --offer {device} SCHEDULER)"


async def _same_version(client: Any) -> None:
    """Raises NrtError where a worker runs another nrt: it would compute something else under the same name."""
    workers = [a for a, w in (await client.scheduler.identity())["workers"].items() if w["resources"]]
    versions: Mapping[str, str] = await client.run(about, workers=workers)
    for address, version in versions.items():
        if version != __version__:
            raise NrtError(f"{address} runs nrt {version} and this is {__version__}; a lab needs one version")
