"""Hundreds of faults injected into an edge daemon: nothing that it promised is lost, nothing comes twice by its id.

    python -m tests.campaigns.daemon --faults 200

A daemon with two pipelines (an emulated camera on a serial line; a scene before a device that can be made to stall)
sends decisions and alarms to Mosquitto. A subscriber of its own, with a persistent session, knows nothing but the
topics. Faults come one after the other, some on top of each other. At the end everything is left to recover, and the
books must balance: what the daemon's journal says was promised has arrived, without a gap in the numbers, and what a
receiver keeps, by the ids, is one of each. MQTT's quality of service 1 repeats messages whose acknowledgement was lost
with a broker or a daemon; those repeats are counted apart, and must not be more than such kills explain.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

import aiohttp
import aiomqtt

from nrt_sim.cameras.edvs import EdvsBoard
from nrt_sim.serve import PtyDoor, Server
from tests.campaigns.books import Books
from tests.campaigns.edge import ROOT, Edge, free_port
from tests.campaigns.subscriber import Subscriber

RECOVERY: Final = 90.0
"""Seconds in which everything promised must have arrived after the last fault."""
IN_FLIGHT: Final = 64
"""Messages that may be repeated for one kill: those under way, and those that the next connection begins with."""

CONFIG: Final = """
[node]
name = "campaign"
data = "{data}"
reports = 5

[[pipeline]]
name = "camera"
source = "edvs+serial://{camera}?baud=12000000"
network = "{network}"
reading = {{ encoding = {{ pool = 4 }} }}
device = "cpu:"
decide = "100ms"
silence = "3s"

[[pipeline]]
name = "chip"
source = "synth:digits?sensor=davis346&width=32&height=32&seconds=0"
network = "{network}"
device = "faulty:"
decide = "50ms"
stall = "1s"

[[pipeline.record]]
rotate = "5s"
size = "1MB"
most = "2MB"
spare = "100kB"

[mqtt]
broker = "mqtt://127.0.0.1:{broker}"
spikes = ["chip"]

[web]
port = {web}
"""
BROKER: Final = """
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
max_queued_messages 0
"""


class Mosquitto:
    """A broker that keeps its sessions on disk."""

    def __init__(self, folder: Path) -> None:
        program = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin")
        if program is None:
            raise SystemExit("the campaign needs mosquitto (apt-get install mosquitto)")
        self._program, self.port = program, free_port()
        self._config = folder / "mosquitto.conf"
        folder.chmod(0o777)  # as root it becomes the user mosquitto
        self._config.write_text(BROKER.format(port=self.port, folder=folder), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begins a life."""
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)


class Camera:
    """An emulated eDVS on a pseudo-terminal, that can be unplugged."""

    def __init__(self, link: Path) -> None:
        self._link = link
        self._board = EdvsBoard(plays="synth:bar?sensor=dvs128&seconds=0&rate=250")
        self._server: Server | None = None

    def plug(self) -> None:
        """There it is."""
        self._server = Server(self._board, PtyDoor(self._link)).start()

    def unplug(self) -> None:
        """It is gone."""
        if self._server is not None:
            self._server.stop()
            self._server = None


class Campaign:
    """One run; `faults` counts what was injected."""

    def __init__(self, folder: Path, seed: int, *, full: bool) -> None:
        """full: whether the data folder is a small disk that can be filled."""
        self.folder, self.chance = folder, random.Random(seed)
        self.books = Books()
        self.faults: Counter[str] = Counter()
        self.kills = 0
        self._full = full
        (folder / "broker").mkdir()
        self.broker = Mosquitto(folder / "broker")
        self.camera = Camera(folder / "camera")
        self._web = free_port()
        self._config = folder / "edge.toml"
        self._text = CONFIG.format(
            data=folder / "data",
            camera=folder / "camera",
            network=ROOT / "sim/nrt_sim/models/digits.nir",
            broker=self.broker.port,
            web=self._web,
        )
        self._config.write_text(self._text, encoding="utf-8")
        environment = {"CAMPAIGN": str(folder)}
        self.edge = Edge(self._config, environment=environment, program="tests.campaigns.faulty")

    async def run(self, count: int) -> None:
        """Injects `count` faults, lets everything recover, and fills the books."""
        self.broker.start()
        self.camera.plug()
        await self.edge.start()
        try:
            with Subscriber(self.broker.port, "campaign", self.books):
                await self._inject(count)
                await self._recover()
        finally:
            await self.edge.close()
            self.broker.kill()
            self.camera.unplug()

    async def _inject(self, count: int) -> None:
        kinds = self._kinds()
        await self.edge.said("camera: running")
        await self.edge.said("chip: running")
        order = [kind for _ in range(count // len(kinds) + 1) for kind in kinds][:count]
        self.chance.shuffle(order)
        for number, kind in enumerate(order):
            self.faults[kind] += 1
            began = time.monotonic()
            await kinds[kind]()
            await asyncio.sleep(self.chance.uniform(0.05, 0.8))
            if number % 10 == 9:
                print(
                    f"{number + 1:4} faults, last {kind} ({time.monotonic() - began:.1f} s); {self.books}",
                    flush=True,
                )

    def _kinds(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "kill -9 broker": self._kill_broker,
            "kill -9 daemon": self._kill_daemon,
            "unplug camera": self._unplug,
            "device stalls": self._stall,
            "bad reload": self._reload,
            "hostile payloads": self._hostile,
            "kill -9 both": self._kill_both,
            "broker hangs": self._hang_broker,
            "device lost": self._die,
            "clock step": self._step,
            "hostile requests": self._requests,
            "restart by SIGTERM": self._terminate,
        }
        if self._full:
            kinds["disk full"] = self._fill
        return kinds

    async def _recover(self) -> None:
        """Everything works again; waits until all that the journal has was received."""
        print("recovering", flush=True)
        async with asyncio.timeout(RECOVERY):
            await self._well("camera", "chip")
        await asyncio.sleep(2)
        took = await self.edge.terminate()
        print(f"SIGTERM: ended after {took:.2f} s", flush=True)
        for line in (self.folder / "journal").read_text(encoding="utf-8").split():
            self.books.made(line)
        await self.edge.start()  # what the last life could not send, the next one does
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RECOVERY):
                for _ in iter(lambda: bool(self.books.missing), False):
                    await asyncio.sleep(0.5)
        await self.edge.terminate()

    async def _well(self, *pipelines: str) -> None:
        """Waits until these pipelines run."""
        url = f"http://127.0.0.1:{self._web}/readyz"
        async with aiohttp.ClientSession() as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.get(url) as response:
                        states = json.loads(await response.text())["pipelines"]
                        if all(states[each] == "running" for each in pipelines):
                            return
                await asyncio.sleep(0.1)

    # the faults

    async def _kill_broker(self) -> None:
        self.kills += 1
        self.broker.kill()
        await asyncio.sleep(self.chance.uniform(0, 1.5))
        self.broker.start()

    async def _kill_daemon(self) -> None:
        self.kills += 1
        await self.edge.kill()
        await self._start()

    async def _kill_both(self) -> None:
        self.kills += 2
        self.broker.kill()
        await asyncio.sleep(self.chance.uniform(0, 1.0))
        await self.edge.kill()
        self.broker.start()
        await self._start()

    async def _terminate(self) -> None:
        self.kills += 1
        took = await self.edge.terminate()
        if took > 5:
            raise AssertionError(f"SIGTERM took {took:.1f} s")
        await self._start()

    async def _start(self) -> None:
        after = len(self.edge.lines)
        await self.edge.start()
        await self.edge.said("running", after)
        await asyncio.sleep(self.chance.uniform(0.2, 1.5))

    async def _hang_broker(self) -> None:
        self.broker.signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.uniform(0.3, 2.0))
        self.broker.signal(signal.SIGCONT)

    async def _unplug(self) -> None:
        self.camera.unplug()
        await asyncio.sleep(self.chance.uniform(0.1, 1.5))
        self.camera.plug()

    async def _stall(self) -> None:
        await self._with_file("stall", self.chance.uniform(0.5, 2.5))

    async def _die(self) -> None:
        await self._with_file("die", self.chance.uniform(0.1, 0.5))

    async def _with_file(self, name: str, seconds: float) -> None:
        path = self.folder / name
        path.touch()
        await asyncio.sleep(seconds)
        path.unlink()

    async def _step(self) -> None:
        path = self.folder / "clock"
        part = path.with_suffix(".part")
        part.write_text(str(self.chance.choice([-86_400.0, -3.0, 3.0, 86_400.0, 1e9])), encoding="ascii")
        part.rename(path)

    async def _hostile(self) -> None:
        """Payloads that are no commands, on every topic that the daemon reads, and many of them."""
        verbs = ["stop", "deploy", "set", "report", "snapshot", "..", "a/b"]
        with contextlib.suppress(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", self.broker.port, timeout=5) as client:
                for _ in range(200):
                    way = f"rpc/request/{self.chance.choice(verbs)}"
                    topic = self.chance.choice([way, way, "link/x/y/in", "link/chip/%00/in"])
                    await client.publish(f"nrt/campaign/{topic}", self._junk(), qos=0)

    def _junk(self) -> bytes:
        chance = self.chance
        return chance.choice(
            [
                chance.randbytes(chance.randrange(1, 4_000)),
                b"",
                b"[" * 5_000,
                b'{"id": 1e999, "client": "x"}',
                json.dumps({"id": "x" * 10_000, "client": "c", "pipeline": "chip"}).encode(),
                json.dumps(
                    {"id": "j", "client": "../..", "pipeline": "nobody", "arguments": {"a": {}}}
                ).encode(),
                json.dumps({"id": "j", "client": "c", "pipeline": "chip", "arguments": {"x": "y"}}).encode(),
                b"\xff\xfe\x00{}",
            ]
        )

    async def _requests(self) -> None:
        """Bytes that are no HTTP, and requests that are no commands."""
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_connection("127.0.0.1", self._web)
            writer.write(self.chance.randbytes(2_000) + b"\r\n\r\n")
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(reader.read(1_000), 1.0)
            writer.close()
        async with aiohttp.ClientSession() as session:
            for data in (self._junk(), b"[]", b'{"id": "a", "verb": "deploy", "pipeline": "chip"}'):
                with contextlib.suppress(aiohttp.ClientError):
                    async with session.post(
                        f"http://127.0.0.1:{self._web}/api/command", data=data
                    ) as response:
                        await response.read()

    async def _reload(self) -> None:
        """A configuration with a mistake, then the right one."""
        bad = self.chance.choice(
            [
                self._text + "\n[nonsense]\n",
                self._text.replace("50ms", "50"),
                "[[[",
                self._text.replace("cpu:", "c:"),
            ]
        )
        for text in (bad, self._text):
            self._config.write_text(text, encoding="utf-8")
            self.edge.signal(signal.SIGHUP)
            await asyncio.sleep(self.chance.uniform(0.3, 0.8))

    async def _fill(self) -> None:
        """The disk of spool, recordings and reports is full for a while."""
        filler = self.folder / "data" / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(bytes(65_536))
                file.flush()
        await asyncio.sleep(self.chance.uniform(1.0, 3.0))
        filler.unlink()
        await asyncio.sleep(
            2.5
        )  # what was kept in memory meanwhile is on the disk again: to kill the daemon before
        # that, with the broker away, would lose what nobody could have kept


def _small_disk(folder: Path) -> bool:
    """Makes `folder` a disk of 64 MB; False where this process may not."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.returncode == 0


def run(count: int, seed: int) -> list[str]:
    """A campaign; what is wrong, empty where nothing is."""
    folder = Path(tempfile.mkdtemp(prefix="nrt-campaign-"))
    folder.chmod(0o755)
    full = _small_disk(folder / "data")
    if not full:
        print("no disk can be filled here: mounting one needs root")
    campaign = Campaign(folder, seed, full=full)
    try:
        asyncio.run(campaign.run(count))
    finally:
        (folder / "log").write_text("\n".join(campaign.edge.lines), encoding="utf-8")
        if full:
            subprocess.run(["umount", str(folder / "data")], check=False)
    print(f"{sum(campaign.faults.values())} faults: {dict(campaign.faults)}")
    print(campaign.books)
    wrong = campaign.books.verdict(repeats=IN_FLIGHT * campaign.kills)
    wrong += [line for line in campaign.edge.lines if "Traceback" in line][:3]
    if not wrong:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        print(f"kept for a look: {folder}")
    return wrong


def main() -> None:
    """Runs the campaign; exits with 1 where something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    began = time.monotonic()
    wrong = run(arguments.faults, arguments.seed)
    print("\n".join(wrong) or f"nothing is wrong ({time.monotonic() - began:.0f} s)")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
