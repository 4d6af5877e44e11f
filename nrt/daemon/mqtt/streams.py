"""Figures and spikes, sent while there is a connection; never kept for later, never waited for.

Spikes of one population that came within `spikes_every` go into one message (`nrt.mqtt.codec`). While a message waits
for the broker, the next ones wait here, within a bound; beyond it whole messages are dropped: counted here, and seen by
who receives them as a gap in the sequence numbers.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from nrt.daemon.mqtt.settings import EVERY, MqttConfig
from nrt.mqtt import codec
from nrt.mqtt.connection import Connection
from nrt.mqtt.topics import Topics
from nrt.packet import Packet, Records, join

if TYPE_CHECKING:
    from nrt.daemon.node import Node

_MOST: Final = 1 << 16
"""Records of one message."""
_KEPT: Final = 1 << 18
"""Records of one population that wait; more are dropped."""


@dataclass(slots=True)
class _Train:
    """Spikes of one population that were not sent yet, and the number of the next message."""

    topic: str
    spec: int
    waiting: list[Records] = field(default_factory=list[Records])
    records: int = 0
    sequence: int = 0


class Streams:
    """What is sent of a node's pipelines without being asked for."""

    def __init__(self, settings: MqttConfig, topics: Topics, node: Node) -> None:
        self._settings, self._topics, self._node = settings, topics, node
        self._trains: dict[tuple[str, str], _Train] = {}
        self._taps: dict[str, Callable[[], None]] = {}
        self.dropped = 0
        """Messages of spikes that were dropped."""

    async def stats(self, connection: Connection) -> None:
        """Every pipeline's figures, every now and then."""
        while True:
            await asyncio.sleep(self._settings.stats / 1e6)
            for name, pipeline in list(self._node.pipelines.items()):
                payload = json.dumps(pipeline.stats().to_dict(), separators=(",", ":")).encode()
                await connection.publish(self._topics.of(name, "stats"), payload, qos=0)

    async def spikes(self, connection: Connection) -> None:
        """The spikes of the pipelines that are to be sent."""
        try:
            while True:
                await asyncio.sleep(self._settings.spikes_every / 1e6)
                self._tap()
                for train in list(self._trains.values()):
                    await self._send(connection, train)
        finally:
            for end in self._taps.values():
                end()
            self._taps.clear()
            self._trains.clear()

    def _tap(self) -> None:
        """Follows the pipelines as they come and go."""
        wanted = {
            name: pipeline
            for name, pipeline in self._node.pipelines.items()
            if EVERY in self._settings.spikes or name in self._settings.spikes
        }
        known = {f"{name} {id(pipeline)}": (name, pipeline) for name, pipeline in wanted.items()}
        for key in [key for key in self._taps if key not in known]:
            self._taps.pop(key)()
        for key, (name, pipeline) in known.items():
            if key not in self._taps:
                self._taps[key] = pipeline.tap_spikes(partial(self._take, name))

    def _take(self, name: str, packet: Packet) -> None:
        if not len(packet.data):
            return
        train = self._trains.get((name, packet.origin))
        if train is None:
            network = self._node.pipelines[name].network
            spec = codec.spec_of(network.hash) if network is not None else 0
            train = _Train(self._topics.spikes(name, packet.origin), spec)
            self._trains[name, packet.origin] = train
        if train.records + len(packet.data) > _KEPT:
            train.sequence += 1  # the gap that tells of it
            self.dropped += 1
            return
        train.waiting.append(packet.data)
        train.records += len(packet.data)

    async def _send(self, connection: Connection, train: _Train) -> None:
        if not train.waiting:
            return
        records = join(train.waiting)
        train.waiting, train.records = [], 0
        for at in range(0, len(records), _MOST):
            part = records[at : at + _MOST]
            message = codec.encode(part, base=int(part["t"][0]), sequence=train.sequence, spec=train.spec)
            train.sequence += 1
            await connection.publish(train.topic, message, qos=0)
