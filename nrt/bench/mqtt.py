"""What MQTT costs: the round trip of a command, and what a flood of messages does to a pipeline.

A node runs one pipeline on a paced recording, with a link to a broker. A second process asks for the node's state, a
command that changes nothing, and takes the times; then it publishes as many messages a second as asked for to the
topics of commands, none of which is one. Both with amqtt inside the daemon, and with Mosquitto where it is installed.
The pipeline's latency counts from when its events were due.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from nrt.bench import serve
from nrt.bench.serve import NAME
from nrt.daemon.config import PipelineConfig
from nrt.daemon.mqtt.settings import BrokerConfig, MqttConfig
from nrt.daemon.node import Node
from nrt.errors import DeviceError
from nrt.mqtt.address import Address
from nrt.mqtt.dialer import Dialer
from nrt.mqtt.topics import Topics
from nrt.report import Report, host


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One broker. Round trips in ms; latencies of the pipeline in ms, calm and while messages flood in.

    sent: messages a second that were published · read: of them, those that the node read
    """

    broker: str
    version: str
    trip_p50: float
    trip_p99: float
    calm_p50: float
    calm_p99: float
    flood_p50: float
    flood_p99: float
    sent: float
    read: float
    lost: int


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What was measured; commands of each broker, and seconds of stream in each measurement."""

    rows: tuple[Row, ...]
    commands: int
    seconds: float
    host: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        lines = [f"{self.host['cpu']}, {self.host['cores']} cores, Python {self.host['python']}"]
        for row in self.rows:
            lines += [
                f"{row.broker}, MQTT {row.version}",
                f"  round trip of a command  p50 {row.trip_p50:.2f} ms, p99 {row.trip_p99:.2f}; of {self.commands}",
                f"  pipeline, calm           p50 {row.calm_p50:.3f} ms, p99 {row.calm_p99:.3f}",
                f"  pipeline, flooded        p50 {row.flood_p50:.3f} ms, p99 {row.flood_p99:.3f}; {row.sent:,.0f} "
                f"messages/s sent, {row.read:,.0f} read, {row.lost} events lost",
            ]
        return "\n".join(lines)


async def measure(seconds: float, commands: int, rate: int, device: str) -> Result:
    """rate: messages a second of the flood."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="nrt-bench-") as place:
        folder = Path(place)
        pipeline = serve.paced(folder, seconds, device)
        for name in ("amqtt", "mosquitto"):
            async with _broker(name, folder) as port:
                if port:
                    rows.append(await _row(name, port, pipeline, folder / name, commands, rate))
    return Result(tuple(rows), commands, seconds, host())


async def _row(broker: str, port: int, pipeline: PipelineConfig, data: Path, commands: int, rate: int) -> Row:
    tables: dict[str, object] = {"mqtt": MqttConfig(broker=f"mqtt://127.0.0.1:{port}")}
    if broker == "amqtt":
        tables["broker"] = BrokerConfig(port=port)
    async with serve.running(pipeline, data, tables) as node:
        link: Any = node.services["mqtt"]
        while not link.connected:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.05)
        uri = f"mqtt://127.0.0.1:{port}"
        pinged = await _command("fleet", "ping", NAME, "--broker", uri, "--count", str(commands), "--json")
        calm = await _run(node)
        last = str(calm.wall_s + 4)
        command = ("bench", "mqtt", "--flood", uri, "--rate", str(rate), "--seconds", last)
        flooding = asyncio.create_task(_command(*command))
        while not link.rejected and not flooding.done():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        before = link.rejected
        flooded = await _run(node)
        read = (link.rejected - before) / flooded.wall_s
        sent = float(await flooding)
        figures, version = json.loads(pinged)["ms"], await _version(uri)
    one, two = calm.latency, flooded.latency
    return Row(
        broker,
        version,
        figures["p50"],
        figures["p99"],
        one.p50,
        one.p99,
        two.p50,
        two.p99,
        sent,
        read,
        flooded.lost,
    )


async def _run(node: Node) -> Report:
    """The recording once, to its end."""
    bench = node.pipelines[NAME]
    await bench.start()
    while bench.state != "stopped":  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    return bench.report()


async def _command(*arguments: str) -> str:
    """What `nrt` prints, in a process of its own, which is ended when nobody waits for it any more."""
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join([root, f"{root}/drivers", f"{root}/sim", os.environ.get("PYTHONPATH", "")])
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nrt",
        *arguments,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        printed, _ = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return printed.decode()


async def flood(uri: str, rate: int, seconds: float) -> float:
    """Publishes messages of 100 bytes and no meaning, `rate` a second if it can; how many a second it were."""
    topic, dialer = Topics(NAME).request("nothing"), Dialer(Address.parse(uri).broker)
    begun, sent = time.monotonic(), 0
    while (passed := time.monotonic() - begun) < seconds:
        with contextlib.suppress(DeviceError):  # a broker may hang up on somebody like this
            async with dialer.connect() as connection:
                while (passed := time.monotonic() - begun) < seconds:
                    for _ in range(min(rate // 50, int(passed * rate) - sent)):
                        await connection.publish(topic, bytes(100), qos=0)
                        sent += 1
                    await asyncio.sleep(0.005)
    return sent / passed


async def _version(uri: str) -> str:
    async with Dialer(Address.parse(uri).broker).connect() as connection:
        return connection.version


@contextlib.asynccontextmanager
async def _broker(name: str, folder: Path) -> AsyncGenerator[int]:
    """The port of a broker: Mosquitto's, started here, or one for amqtt to listen on. 0 where there is none."""
    port = serve.free_port()
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if name == "amqtt" or program is None:
        yield port if name == "amqtt" else 0
        return
    file = folder / "mosquitto.conf"
    file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\n")
    process = await asyncio.create_subprocess_exec(
        program, "-c", str(file), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield port
    finally:
        process.terminate()
        await process.wait()
