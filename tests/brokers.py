"""Brokers for tests: Mosquitto as a process of its own that can be killed, and amqtt as the daemon runs it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import cast

import pytest

import nrt

_CONFIGURATIONS = Path(__file__).parent / "mosquitto"


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def mosquitto() -> str | None:
    """The program, if it is installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """Debian's Mosquitto on a loopback port. Skips the test where there is none."""

    def __init__(self, folder: Path, configuration: str = "open") -> None:
        program = mosquitto()
        if program is None:
            pytest.skip("mosquitto is not installed (apt-get install mosquitto)")
        self.port = free_port()
        text = (_CONFIGURATIONS / f"{configuration}.conf").read_text()
        self._file = folder / "mosquitto.conf"
        self._file.write_text(text.replace("{port}", str(self.port)).replace("{folder}", str(folder)))
        self._database = folder / "mosquitto.db"
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
        _until_it_listens(self.port, self._process)

    def written(self) -> bool:
        """Whether it has written its sessions down, which it does anew with every change."""
        return self._database.exists()

    def kill(self) -> None:
        """As kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None


class Amqtt:
    """The broker that the daemon has inside, in a process of its own: it leaves transports open when it ends."""

    def __init__(self) -> None:
        self.port = free_port()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _AMQTT, str(self.port)],
            env={**os.environ, "PYTHONPATH": str(Path(nrt.__file__).parents[1])},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _until_it_listens(self.port, self._process)

    @property
    def uri(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """As kill -9."""
        self._process.kill()
        self._process.wait(10)


_AMQTT = """
import asyncio, sys
from nrt.daemon.mqtt.broker import Broker
from nrt.daemon.mqtt.settings import BrokerConfig
asyncio.run(Broker(BrokerConfig(port=int(sys.argv[1]))).run(None))
"""


def _until_it_listens(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert process.poll() is None, "the broker ended at once"
        time.sleep(0.02)
    raise AssertionError("the broker did not listen within 30 s")
