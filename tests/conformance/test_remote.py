"""A device of a daemon in another process, over MQTT: what every device owes a session, from afar."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import nrt
from nrt.device import Device
from nrt.registry import device as registered
from nrt.testing import DeviceConformance
from tests.brokers import Mosquitto, free_port, mosquitto

ROOT = Path(__file__).parents[2]
PLACES = [str(ROOT / each) for each in (".", "drivers", "sim")]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`nrt serve` with one device, over Mosquitto, or where there is none over the broker inside; the node's URI."""
    folder = tmp_path_factory.mktemp("node")
    if mosquitto() is not None:
        broker = Mosquitto(folder)
        uri, table = broker.uri, ""
    else:
        port = free_port()
        broker, uri, table = None, f"mqtt://127.0.0.1:{port}", f"[broker]\nport = {port}"
    file = folder / "edge.toml"
    file.write_text(
        f"""
{table}
[node]
name = "edge"
data = "{folder / "data"}"
[mqtt]
broker = "{uri}"
[[device]]
name = "chip"
device = "cpu:"
"""
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(PLACES)}
    command = [sys.executable, "-m", "nrt", "serve", "--config", str(file)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as daemon:
        try:
            assert daemon.stderr is not None
            deadline = time.monotonic() + 60
            lines = [daemon.stderr.readline()]
            while "connected to" not in lines[-1] and daemon.poll() is None and time.monotonic() < deadline:
                lines.append(daemon.stderr.readline())
            assert "connected to" in lines[-1], "".join(lines)
            yield f"{uri}/edge"
        finally:
            daemon.send_signal(signal.SIGTERM)
            if broker is not None:
                daemon.wait(30)
                broker.kill()


class TestRemoteDevice(DeviceConformance):
    @pytest.fixture(autouse=True)
    def _node(self, node: str) -> None:
        self._uri = f"{node}/chip"

    def device(self) -> Device:
        return registered(self._uri)

    async def test_it_is_lent_to_one_at_a_time(self) -> None:
        async with self.session() as first:
            with pytest.raises(nrt.DeviceBusy, match="another client"):
                async with nrt.open(self._uri):
                    pass
            assert len(await self.play(first, self.stimulus())) == self.steps
