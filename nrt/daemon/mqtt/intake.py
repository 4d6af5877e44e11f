"""What a node is told over MQTT: commands, and messages to its devices, over a connection of their own.

A flood of them is read slowly, so that it waits at the broker. On one connection the broker's acknowledgements of what
the node itself sends would wait behind it.
"""

from __future__ import annotations

import asyncio
from typing import Final

from nrt.clock import now
from nrt.daemon.mqtt.again import stay_connected
from nrt.daemon.mqtt.remote_device import Devices
from nrt.daemon.mqtt.requests import Requests
from nrt.mqtt.connection import Connection
from nrt.mqtt.dialer import Dialer
from nrt.mqtt.topics import Topics

_SLOTS: Final = 20
"""Parts of a second in which so many messages are read as are due in it."""


class Intake:
    """Hands on what comes; `rate` messages a second at most."""

    def __init__(self, dialer: Dialer, topics: Topics, rate: int) -> None:
        self._dialer, self._topics = dialer, topics
        self._share = max(1, rate // _SLOTS)
        self.up = asyncio.Event()
        """Set while commands are taken."""
        self.rejected = 0
        """Messages that were no command and of no device."""

    async def run(self, requests: Requests, devices: Devices) -> None:
        """Keeps connected until it is cancelled; what is lost meanwhile breaks sessions with devices, nothing else."""
        filters = self._topics.request("+"), self._topics.link("+", "+", "in")

        async def serve(connection: Connection) -> None:
            self.up.set()
            try:
                await self._receive(connection, requests, devices)
            finally:
                self.up.clear()

        await stay_connected(self._dialer, filters, serve, "no commands are taken: %s; trying again")

    async def _receive(self, connection: Connection, requests: Requests, devices: Devices) -> None:
        slot, left = now(), self._share
        async for message in connection.messages():
            match self._topics.split(message.topic):
                case ("rpc", "request", verb):
                    requests.take(verb, message)
                case ("link", device, client, "in"):
                    devices.take(device, client, message.payload)
                case _:
                    self.rejected += 1
            self.rejected += requests.rejected + devices.rejected
            requests.rejected = devices.rejected = 0
            left -= 1
            if left == 0:
                await asyncio.sleep(max(0.0, 1 / _SLOTS - (now() - slot) / 1e9))
                slot, left = now(), self._share
