"""Brokers for tests: Mosquitto as a process of its own that can be killed, and amqtt as the daemon runs it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from nrt.daemon.mqtt.broker import Broker
from nrt.daemon.mqtt.settings import BrokerConfig

_CONFIGURATIONS = Path(__file__).parent / "mosquitto"


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Mosquitto:
    """Debian's Mosquitto on a loopback port. Skips the test where there is none."""

    def __init__(self, folder: Path, configuration: str = "open") -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
        self.port = free_port()
        text = (_CONFIGURATIONS / f"{configuration}.conf").read_text()
        self._file = folder / "mosquitto.conf"
        self._file.write_text(text.replace("{port}", str(self.port)).replace("{folder}", str(folder)))
        self._program, self._process = program, cast("subprocess.Popen[bytes] | None", None)
        self.start()

    @property
    def uri(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it, and waits until it listens."""
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self._process.poll() is None, "mosquitto ended at once; is its configuration right?"
            time.sleep(0.02)
        raise AssertionError("mosquitto did not listen within 20 s")

    def kill(self) -> None:
        """As kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


@contextlib.asynccontextmanager
async def amqtt() -> AsyncIterator[str]:
    """The broker inside the daemon, in this event loop; its URI."""
    port = free_port()
    broker = Broker(BrokerConfig(port=port))
    node: Any = SimpleNamespace()
    task = asyncio.create_task(broker.run(node))
    try:
        async with asyncio.timeout(20):
            await asyncio.wait(
                [task, waiting := asyncio.create_task(broker.listening.wait())], return_when="FIRST_COMPLETED"
            )
            waiting.cancel()
        if task.done():
            task.result()
        yield f"mqtt://127.0.0.1:{port}"
    finally:
        task.cancel()
        await asyncio.wait([task], timeout=20)
