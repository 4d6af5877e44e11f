"""The local executor: one device after the other, so that no figure is of a machine that does something else too.

On one device, `jobs` recordings run side by side where it can be had several times: a simulator as copies in this
process (its arithmetic runs in threads, and the network is there once), an emulated chip as whole processes (its
driver is Python). A chip that is there once runs one recording at a time, whatever `jobs` says.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from nrt.errors import NrtError, Unsupported
from nrt.lease import exclusive
from nrt.network import Network
from nrt.session import Session
from nrt.sweep.executor import NotRun, groups
from nrt.sweep.item import Item, Row
from nrt.sweep.process import ProcessStation
from nrt.sweep.station import Station


class Lane(Protocol):
    """What takes items one at a time: a Station here or in another process."""

    async def run(self, item: Item, network: Network, limit: float | None = None) -> Row:
        """See `Station.run`."""
        ...

    async def close(self) -> None:
        """See `Station.close`."""
        ...


Begin = Callable[[Lane, Item], Awaitable[Row]]


@dataclass(frozen=True, slots=True)
class Local:
    """Runs items on this machine. jobs: recordings side by side on one device · limit: s for each; None: any."""

    jobs: int = 1
    limit: float | None = None

    async def run(
        self, items: Sequence[Item], networks: Mapping[str, Network], done: Callable[[Row], None]
    ) -> Sequence[NotRun]:
        """See `Executor.run`."""
        left: list[NotRun] = []
        for (device, model), group in groups(items).items():
            reasons: list[str] = []
            undone: Sequence[Item] = group
            async with contextlib.AsyncExitStack() as stack:
                try:
                    lanes = await self._lanes(device, group, networks[model], stack)
                except NrtError as error:
                    reasons.append(str(error))
                else:
                    undone = await _share(group, lanes, self._begin(networks[model]), done, reasons)
            if undone:
                left.append(NotRun(device, model, len(undone), "; ".join(dict.fromkeys(reasons))))
        return left

    def _begin(self, network: Network) -> Begin:
        return lambda lane, item: lane.run(item, network, self.limit)

    async def _lanes(
        self, device: str, group: Sequence[Item], network: Network, stack: contextlib.AsyncExitStack
    ) -> list[Lane]:
        """At most `jobs` lanes with `network` on them. Raises DeployError, and what opening the device raises."""
        first = Station(device)
        stack.push_async_callback(first.close)
        session = await first.prepare(group[0], network)
        lanes: list[Lane] = [first]
        for _ in range(min(self.jobs, len(group)) - 1):
            lane = await self._another(device, group[0], network, session)
            if lane is None:
                break
            stack.push_async_callback(lane.close)
            lanes.append(lane)
        return lanes

    async def _another(self, device: str, item: Item, network: Network, session: Session) -> Lane | None:
        """One more lane of a device; None where there is one of it."""

        async def fork() -> Session:
            return await (await session.fork()).__aenter__()

        copy = Station(device, opener=fork)
        try:
            await copy.prepare(item, network)
        except Unsupported:
            return None if exclusive(device) else ProcessStation(device)
        return copy


async def _share(
    items: Sequence[Item],
    lanes: Sequence[Lane],
    begin: Begin,
    done: Callable[[Row], None],
    reasons: list[str],
) -> Sequence[Item]:
    """Has the lanes take items until there are none, or no lane is left; what is left. Adds what lanes died of."""
    left, alive = deque(items), list(lanes)

    async def work(lane: Lane) -> None:
        while left:
            item = left.popleft()
            try:
                row = await begin(lane, item)
            except NrtError as error:
                left.appendleft(item)
                alive.remove(lane)
                reasons.append(str(error))
                return
            done(row)

    while left and alive:  # a lane may give an item back when the others have gone home
        tasks = [asyncio.create_task(work(lane), name=f"nrt.lane {k}") for k, lane in enumerate(alive)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    return left
