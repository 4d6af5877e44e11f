"""Recordings of a bounded size, spikes over UDP; a failure costs packets, never the stream."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import pytest

from nrt import formats
from nrt.clock import now
from nrt.daemon.config import RecordConfig, SendConfig
from nrt.daemon.notice import AlarmKind
from nrt.daemon.output import Outputs, address_events
from nrt.daemon.table import Size
from nrt.errors import ConfigError
from nrt.formats.es import EsWriter
from nrt.live.aer import AerDecoder
from nrt.network import Network, Population, neuron
from nrt.packet import SPIKE, Packet
from nrt.registry import Duration
from nrt.testing import Script, events

NET = Network(
    (Population("input", (1,)), Population("o", (2, 2, 4), neuron(threshold=1.0))), (), ("input",), ("o",)
)
CAMERA = Script([], shape=(2, 64, 64), scheduled=True)
FILE = Script([], shape=(2, 64, 64))


class Told:
    """The alarms."""

    def __init__(self) -> None:
        self.alarms: list[tuple[AlarmKind, str]] = []
        self._news = asyncio.Event()

    def __call__(self, kind: AlarmKind, text: str) -> None:
        self.alarms.append((kind, text))
        self._news.set()

    async def of(self, kind: AlarmKind) -> str:
        """Waits for one."""
        async with asyncio.timeout(30):
            while True:
                for told, text in self.alarms:
                    if told == kind:
                        return text
                self._news.clear()
                await self._news.wait()


@contextlib.asynccontextmanager
async def opened(
    folder: Path,
    told: Told,
    record: RecordConfig | None = None,
    send: SendConfig | None = None,
    source: Script = FILE,
) -> AsyncGenerator[Outputs]:
    outputs = Outputs("eye", folder, told)
    outputs.open(source, (record,) if record else (), (send,) if send else ())
    outputs.began(NET)
    try:
        yield outputs
    finally:
        async with asyncio.timeout(30):
            await outputs.close()


def packets(count: int, each: int = 1_000) -> list[Packet]:
    chance = np.random.default_rng(1)
    made: list[Packet] = []
    for k in range(count):
        data = events(*((1_000 * k + j * 1_000 // each, 0, 0, 1) for j in range(each)))
        data["x"], data["y"] = chance.integers(0, 64, (2, each))
        made.append(Packet(data, 1_000 * k, 1_000 * (k + 1), now()))
    return made


async def give(outputs: Outputs, made: list[Packet]) -> None:
    for packet in made:
        done = outputs.saw(packet)
        if done is not None:
            await done


def recorded(folder: Path) -> list[int]:
    """Events of every file, oldest first."""
    counts: list[int] = []
    for path in sorted((folder / "recordings" / "eye").iterdir()):
        with formats.open(path) as recording:
            total, room = 0, np.empty(1 << 16, packets(1)[0].data.dtype)
            while count := recording.read(room):
                total += count
            counts.append(total)
    return counts


async def test_a_recording_holds_every_event(tmp_path: Path) -> None:
    told = Told()
    async with opened(tmp_path, told, RecordConfig(format="es", spare=Size(0))) as outputs:
        await give(outputs, packets(50))
    assert recorded(tmp_path) == [50_000]
    assert outputs.missed == 0
    assert not told.alarms


async def test_files_follow_each_other_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.record.belt.FLUSH", 0)
    told = Told()
    config = RecordConfig(format="es", size=Size(20_000), most=Size(65_000), spare=Size(0))
    async with opened(tmp_path, told, config) as outputs:
        await give(outputs, packets(60))
    kept = sorted((tmp_path / "recordings" / "eye").iterdir())
    numbers = [int(path.name.split("-")[1]) for path in kept]
    assert numbers == list(range(numbers[0], numbers[0] + len(kept)))
    assert numbers[0] > 1
    assert sum(path.stat().st_size for path in kept) <= 65_000 + 25_000
    async with opened(tmp_path, told, config) as outputs:
        await give(outputs, packets(1))
    newest = max(int(path.name.split("-")[1]) for path in (tmp_path / "recordings" / "eye").iterdir())
    assert newest == numbers[-1] + 1


async def test_a_full_disk_costs_what_comes_meanwhile_and_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.daemon.output.RETRY", 0)
    monkeypatch.setattr("nrt.daemon.output.LOOK", 0)
    real, full = os.statvfs, [True]

    def statvfs(path: Path) -> os.statvfs_result:
        """The disk's own answer, but for the room that is left."""
        fields = list(real(path))
        fields[4] = 0 if full[0] else 1 << 30
        return os.statvfs_result(fields)

    monkeypatch.setattr("nrt.daemon.output.os.statvfs", statvfs)
    told = Told()
    async with opened(tmp_path, told, RecordConfig(format="es")) as outputs:
        first, second = packets(20)[:10], packets(20)[10:]
        await give(outputs, first)
        assert "stay free" in await told.of("disk full")
        await asyncio.sleep(0.05)
        full[0] = False
        await give(outputs, second)
        await told.of("disk back")
    assert outputs.missed >= 1
    assert sum(recorded(tmp_path)) + 1_000 * outputs.missed == 20_000
    assert [kind for kind, _ in told.alarms] == ["disk full", "disk back"]


async def test_a_write_that_fails_leaves_a_file_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ENOSPC in the middle of a recording."""
    monkeypatch.setattr("nrt.daemon.output.RETRY", 0)
    monkeypatch.setattr("nrt.record.belt.FLUSH", 0)
    told, calls = Told(), itertools.count()

    written = EsWriter.write

    def write(self: EsWriter, data: object) -> None:
        if next(calls) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        written(self, data)  # type: ignore[arg-type]

    monkeypatch.setattr(EsWriter, "write", write)
    async with opened(tmp_path, told, RecordConfig(format="es", spare=Size(0))) as outputs:
        await give(outputs, packets(20))
    assert [kind for kind, _ in told.alarms] == ["disk full", "disk back"]
    assert sum(recorded(tmp_path)) == 19_000
    assert outputs.missed == 1


async def test_a_camera_does_not_wait_for_a_slow_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.record.sink.Sink.queue", 40_000)
    told = Told()
    async with opened(tmp_path, told, RecordConfig(format="es", spare=Size(0)), source=CAMERA) as outputs:
        for packet in packets(200):
            assert outputs.saw(packet) is None
        dropped = outputs.dropped
    assert dropped > 0
    assert sum(recorded(tmp_path)) == 1_000 * (200 - dropped)


async def test_spikes_are_sent_as_address_events(tmp_path: Path) -> None:
    told = Told()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(30)
        address = f"spif://127.0.0.1:{far.getsockname()[1]}"
        async with opened(tmp_path, told, send=SendConfig(address, "o")) as outputs:
            spikes = np.zeros(3, SPIKE)
            spikes["t"], spikes["n"], spikes["v"] = [1, 2, 3], [0, 6, 15], [1, 1, -1]
            outputs.said(Packet(spikes, 0, 10, now(), origin="tap"))
            outputs.said(Packet(spikes, 0, 10, now(), origin="o"))
            datagram = await asyncio.to_thread(far.recv, 2_000)
    found = AerDecoder().decode(datagram, 7)
    assert [(e["x"], e["y"], e["p"]) for e in found] == [(0, 0, 1), (2, 1, 1), (3, 3, 0)]


async def test_by_default_outputs_are_sent_and_taps_only_by_name(tmp_path: Path) -> None:
    for name, neurons in (("", [(2, 1)]), ("input", [(0, 6)])):
        told = Told()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
            far.bind(("127.0.0.1", 0))
            far.settimeout(30)
            address = f"spif://127.0.0.1:{far.getsockname()[1]}"
            async with opened(tmp_path, told, send=SendConfig(address, name)) as outputs:
                spikes = np.zeros(1, SPIKE)
                spikes["n"], spikes["v"] = 6, 1
                outputs.said(Packet(spikes, 0, 10, now(), origin="input"))  # one neuron wide
                outputs.said(Packet(spikes, 0, 10, now(), origin="o"))  # four wide
                datagram = await asyncio.to_thread(far.recv, 2_000)
        assert [(e["x"], e["y"]) for e in AerDecoder().decode(datagram, 7)] == neurons
        assert told.alarms == []


async def test_after_a_switch_spikes_are_sent_by_the_shape_of_the_new_network(tmp_path: Path) -> None:
    wider = Network(
        (Population("input", (1,)), Population("wide", (1, 1, 8), neuron(threshold=1.0))),
        (),
        ("input",),
        ("wide",),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far:
        far.bind(("127.0.0.1", 0))
        far.settimeout(30)
        address = f"spif://127.0.0.1:{far.getsockname()[1]}"
        async with opened(tmp_path, Told(), send=SendConfig(address)) as outputs:
            outputs.began(wider)
            spikes = np.zeros(1, SPIKE)
            spikes["n"], spikes["v"] = 6, 1
            outputs.said(Packet(spikes, 0, 10, now(), origin="wide"))
            datagram = await asyncio.to_thread(far.recv, 2_000)
    assert [(e["x"], e["y"]) for e in AerDecoder().decode(datagram, 7)] == [(6, 0)]


async def test_a_receiver_that_cannot_be_reached_is_told_of_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nrt.daemon.output.RETRY", 0)
    told = Told()
    async with opened(tmp_path, told, send=SendConfig("spif://no.such.host.invalid:3333")) as outputs:
        spikes = np.zeros(1, SPIKE)
        for _ in range(3):
            outputs.said(Packet(spikes, 0, 10, now(), origin="o"))
        await told.of("output failed")
    assert [kind for kind, _ in told.alarms] == ["output failed"]
    assert outputs.missed == 3


def test_neurons_keep_their_places() -> None:
    spikes = np.zeros(16, SPIKE)
    spikes["n"] = np.arange(16)
    found = address_events(spikes, 4)
    assert found["x"].tolist() == [0, 1, 2, 3] * 4
    assert found["y"].tolist() == sorted([0, 1, 2, 3] * 4)


@pytest.mark.parametrize(
    "wrong", [{"size": Size(10), "most": Size(5)}, {"rotate": Duration(1)}, {"format": "zip"}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        RecordConfig(**wrong)  # type: ignore[arg-type]
