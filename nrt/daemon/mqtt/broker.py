"""A broker inside the daemon, for people without one: amqtt, MQTT 3.1.1, on loopback unless it is secured.

It keeps nothing over a restart of the daemon, and shares the daemon's event loop; for more than a handful of clients,
or for persistent sessions, Mosquitto is the better one.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, ClassVar

from nrt.daemon.mqtt.settings import BrokerConfig
from nrt.daemon.service import Service
from nrt.errors import ConfigError, MissingDependency

if TYPE_CHECKING:
    from nrt.daemon.node import Node

_log = logging.getLogger(__name__)


class Broker(Service):
    """The `[broker]` service."""

    settings: ClassVar[type[Any]] = BrokerConfig

    def __init__(self, settings: BrokerConfig) -> None:
        self._settings = settings
        self.listening = asyncio.Event()
        """Set while it can be connected to."""

    async def run(self, node: Node) -> None:
        """Serves until it is cancelled. Raises ConfigError where it cannot listen."""
        broker = _amqtt(self._settings)
        try:
            await broker.start()
        except Exception as error:  # amqtt raises its own, from what asyncio raised
            place = f"{self._settings.host}:{self._settings.port}"
            raise ConfigError(f"the broker cannot listen on {place}: {error.__cause__ or error}") from error
        _log.info("a broker listens on %s:%d", self._settings.host, self._settings.port)
        self.listening.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.listening.clear()
            await broker.shutdown()


def _amqtt(settings: BrokerConfig) -> Any:
    try:
        from amqtt.broker import Broker as Amqtt
    except ModuleNotFoundError as error:
        raise MissingDependency("a broker inside the daemon", "amqtt", "daemon") from error
    for name in ("amqtt", "transitions"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # it logs clients that go away as errors
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    listener: dict[str, Any] = {"type": "tcp", "bind": f"{host}:{settings.port}", "max_connections": 200}
    if settings.cert_file is not None:
        listener |= {"ssl": True, "certfile": str(settings.cert_file), "keyfile": str(settings.key_file)}
    plugins: dict[str, Any] = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    if settings.password_file is not None:
        plugins = {
            "amqtt.plugins.authentication.FileAuthPlugin": {"password_file": str(settings.password_file)}
        }
    return Amqtt({"listeners": {"default": listener}, "plugins": plugins})
