"""What a node tells on its own: decisions and alarms from the spool, each until it is acknowledged, and states."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from nrt.clock import now
from nrt.daemon.mqtt.spool import Spool
from nrt.daemon.notice import Alarm, Decision, Notice, StateChange
from nrt.mqtt.connection import Connection
from nrt.mqtt.sender import Sender
from nrt.mqtt.topics import Topics

if TYPE_CHECKING:
    from nrt.daemon.node import Node

_BATCH: Final = 32
"""Messages read from the spool at once."""
LINGER: Final = 1.0
"""Seconds from a broker's acknowledgement to the end of a message here: until then it goes out again if the
connection is lost."""
_LOOK: Final = 0.5
"""Seconds between two looks after the disk."""


class Outbox:
    """Listens to a node from its making until `end`."""

    def __init__(self, spool: Spool, topics: Topics, node: Node) -> None:
        self._spool, self._topics, self._node = spool, topics, node
        self._states: dict[str, StateChange] = {}
        self._news: set[str] = set()
        self._wake, self._changed = asyncio.Event(), asyncio.Event()
        self._progress = asyncio.Event()
        self._acknowledged: deque[tuple[int, int]] = deque()
        self._full = False
        self._sent = -1
        self.spooled = self.again = 0
        """Messages that were promised since the daemon started, and times that one went out which had before."""
        self.end = node.listen(self._take)
        """Listens no more."""

    async def emptied(self, hopeless: Callable[[], bool]) -> None:
        """Waits until everything was sent and acknowledged, or it is hopeless."""
        while (len(self._spool) > len(self._acknowledged) or self._news) and not hopeless():
            self._progress.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._progress.wait(), 0.1)

    def _take(self, notice: Notice) -> None:
        if isinstance(notice, StateChange):
            self._states[notice.pipeline] = notice
            self._news.add(notice.pipeline)
            self._changed.set()
        else:
            if not self._spool.roomy:
                self.settle()  # rather than dropping what was acknowledged, or what was not
            what = "decisions" if isinstance(notice, Decision) else "alarms"
            self._spool.put(self._topics.of(notice.pipeline, what), _json(notice))
            self.spooled += 1
            self._wake.set()

    async def deliver(self, sender: Sender) -> None:
        """Sends what waits, in order, over one connection; what is left at its end goes over the next one.

        That includes what was acknowledged just before: a broker that is killed forgets what it acknowledged last.
        """
        sent = -1
        try:
            while True:
                self._announce()
                self._wake.clear()
                batch = self._spool.after(sent, _BATCH)
                for each in batch:
                    sent = each.number
                    self.again += sent <= self._sent
                    self._sent = max(sent, self._sent)
                    await sender.send(each.topic, each.payload, partial(self._done, each.number))
                if not batch:
                    await self._wake.wait()
        finally:
            self._acknowledged.clear()

    def _done(self, number: int) -> None:
        self._acknowledged.append((number, now()))
        self._progress.set()

    def settle(self, linger: float = 0.0) -> None:
        """Forgets what was acknowledged at least `linger` seconds ago."""
        while self._acknowledged and now() - self._acknowledged[0][1] >= linger * 1e9:
            self._spool.done(self._acknowledged.popleft()[0])

    async def states(self, connection: Connection) -> None:
        """Publishes the state of every pipeline, retained, then every change; the last one where they are many."""
        self._news.update(self._states)
        while True:
            self._changed.clear()
            for name in list(self._news):
                state = self._states[name]
                await connection.publish(self._topics.of(name, "state"), _json(state), retain=True)
                if self._states[name] is state:
                    self._news.discard(name)
                    self._progress.set()
            if not self._news:
                await self._changed.wait()

    async def keep(self) -> None:
        """Looks after the disk: has what is written reach it, and says when it is full and when no longer."""
        while True:
            await asyncio.sleep(_LOOK)
            self.settle(LINGER)
            self._spool.flush()
            await self._spool.sync()
            if bool(self._spool.failure) != self._full:
                self._full = not self._full
                if self._full:
                    text = f"the spool for MQTT cannot be written: {self._spool.failure}; what waits is kept in memory"
                    self._node.alarm("disk full", text)
                else:
                    self._node.alarm("disk back", "the spool for MQTT can be written again")

    def _announce(self) -> None:
        """Says, once, how many messages had to make room: as an alarm, which takes its place in the spool."""
        if self._spool.untold and self._spool.roomy:
            count = self._spool.untold
            text = f"{count:,} decisions and alarms were dropped: the broker was away for longer than the spool lasts"
            self._node.alarm("spool", text)
            self._spool.told(count)


def _json(notice: StateChange | Decision | Alarm) -> bytes:
    return json.dumps(notice.to_dict(), separators=(",", ":")).encode()
