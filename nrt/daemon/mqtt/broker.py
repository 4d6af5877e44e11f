"""A broker beside the daemon, for people without one: amqtt, MQTT 3.1.1, on loopback unless it is secured.

It runs in a child process, which ends when the daemon does, however that ends: on the daemon's event loop a flood of
messages would hold up the pipelines. It keeps nothing over a restart; for more than a handful of clients, or for
persistent sessions, Mosquitto is the better one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from nrt.daemon.mqtt.settings import BrokerConfig
from nrt.daemon.service import Service
from nrt.errors import ConfigError, MissingDependency, NrtError

if TYPE_CHECKING:
    from nrt.daemon.node import Node

_log = logging.getLogger("nrt.daemon")

_LISTENING: Final = "listening"
"""What the child says when it can be connected to; anything else is why it cannot."""
_FAREWELL: Final = 0.5
"""Seconds in which it may end in order."""


class Broker(Service):
    """The `[broker]` service."""

    settings: ClassVar[type[Any]] = BrokerConfig
    last = True

    def __init__(self, settings: BrokerConfig) -> None:
        self._settings = settings
        self._starts = 0
        self.up = asyncio.Event()
        """Set while it can be connected to."""

    def counters(self) -> dict[str, int]:
        """Whether it can be connected to, and how often it was started; for metrics."""
        return {"up": int(self.up.is_set()), "starts": self._starts}

    async def run(self, node: Node) -> None:
        """Serves until it is cancelled. Raises ConfigError where it cannot listen, NrtError where it ends by itself."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            "from nrt.daemon.mqtt.broker import main; main()",
            json.dumps(asdict(self._settings), default=str),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the daemon, which then ends it
        )
        try:
            assert child.stdout is not None
            said = (await child.stdout.readline()).decode().strip()
            if said != _LISTENING:
                raise ConfigError(said or "the broker ended at once")
            self._starts += 1
            self.up.set()
            _log.info("a broker listens on %s:%d", self._settings.host, self._settings.port)
            raise NrtError(f"the broker ended with code {await child.wait()}")
        finally:
            self.up.clear()
            await _end(child)


async def _end(child: asyncio.subprocess.Process) -> None:
    assert child.stdin is not None
    child.stdin.close()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(child.wait(), _FAREWELL)
    with contextlib.suppress(ProcessLookupError):
        child.kill()
    await child.wait()


def main() -> None:
    """The child: a broker until standard input ends, which the daemon holds open as long as it lives."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    told: dict[str, Any] = {name: each for name, each in json.loads(sys.argv[1]).items() if each is not None}
    files: dict[str, Any] = {name: Path(each) for name, each in told.items() if name.endswith("_file")}
    try:
        asyncio.run(_serve(BrokerConfig(**told | files)))
    except NrtError as error:
        print(error, flush=True)


async def _serve(settings: BrokerConfig) -> None:
    broker = _amqtt(settings)
    try:
        await broker.start()
    except Exception as error:  # amqtt raises its own, from what asyncio raised
        place = f"{settings.host}:{settings.port}"
        raise ConfigError(f"the broker cannot listen on {place}: {error.__cause__ or error}") from error
    print(_LISTENING, flush=True)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), lambda: None if os.read(0, 1) else ended.set())
    await ended.wait()
    os._exit(0)  # nothing is kept, and amqtt takes its time to say goodbye to everybody


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
