"""The live path under load: EVT3 bytes of another process through a terminal, decoded, cut, computed with.

A process plays a camera at a given rate (`nrt.bench.live_feed`); here a driver reads it as any other camera, and
a small network on `cpu:` answers. Counted is what was lost anywhere: events for which the terminal had no room in time
(the reader was too slow) and packets that the network did not take in time. Late is, for every packet, the time from
when its last event happened on the camera's clock to when the network's answer is there.

The decode stage alone is measured on the same words in memory: the bare decoder, and the intake around it (order,
arrival times, packets of 1 ms) that hands its packets to nobody.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import statistics
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

import nrt
from nrt.bench.live_feed import BLOCK, HEIGHT, SLICE, WIDTH, Feed, Sent, pieces
from nrt.clock import now
from nrt.formats.evt3 import Evt3Decoder
from nrt.live import Camera, Cut, Intake
from nrt.network import Dense, Encoding, Network, Population, Projection, Semantics, neuron
from nrt.network.operators import array
from nrt.packet import EVENT, Packet
from nrt.profile import Histogram
from nrt.registry import Uri
from nrt.report import host

POOL: Final = 16
_CLASSES: Final = 10
_CHUNK: Final = 1 << 14
"""Bytes of a read in the measurement of the decode stage: a USB transfer."""
_WARM: Final = 2.0
"""Seconds that are not measured: kernels load, buffers find their size."""


class Evt3Line(Camera):
    """Bare EVT3 words on a line; any byte starts them."""

    shape = (2, HEIGHT, WIDTH)

    async def _greet(self) -> None:
        pass

    async def _begin(self) -> None:
        await self._wire.write(b"b")

    async def _halt(self) -> None:
        pass

    def _decoder(self) -> Evt3Decoder:
        return Evt3Decoder()


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What `measure` found. Rates in events/s, times in ms, memory in bytes.

    skipped: events for which the terminal had no room · dropped: events that the network did not take in time
    late: (median, p99, p99.9, maximum) from the last event of a packet to the network's answer
    cores: that this process kept busy, from its terminal to its spikes; the camera's process needs its own
    rss: resident memory two seconds after the start, at the end, and the most in between
    """

    seconds: float
    wanted: float
    sent: int
    skipped: int
    dropped: int
    computed: int
    spikes: int
    bytes: int
    late: tuple[float, float, float, float]
    rss: tuple[int, int, int]
    cores: float
    load: float
    host: dict[str, str]

    @property
    def rate(self) -> float:
        """Events per second that reached the network."""
        return self.computed / self.seconds

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        return {**dataclasses.asdict(self), "rate": self.rate}

    def __str__(self) -> str:
        begin, end, most = self.rss
        lost = self.skipped + self.dropped
        share = lost / max(self.sent + self.skipped, 1)
        return "\n".join(
            [
                f"{self.host['cpu']}, {self.host['cores']} cores, load {self.load:.1f}, Python {self.host['python']}",
                f"rate    {self.rate / 1e6:.2f} of {self.wanted / 1e6:.2f} million events/s over {self.seconds:.0f} s, "
                f"{self.bytes / self.seconds / 1e6:.0f} MB/s of EVT3 through a terminal, {self.spikes:,} spikes",
                f"lost    {lost:,} events ({share:.2%}): {self.skipped:,} before the line, {self.dropped:,} behind it",
                "late    p50 {:.2f}  p99 {:.2f}  p99.9 {:.2f}  max {:.2f} ms, last event to answer".format(
                    *self.late
                ),
                f"memory  {begin / 1e6:.1f} MB at the start, {end / 1e6:.1f} MB at the end, {most / 1e6:.1f} MB at "
                "most",
                f"cores   {self.cores:.2f} busy, without the process that plays the camera",
            ]
        )


def _network() -> Network:
    shape = (2, HEIGHT // POOL, WIDTH // POOL)
    inputs = shape[0] * shape[1] * shape[2]
    weights = np.random.default_rng(3).random((_CLASSES, inputs)) / 256
    return Network(
        (Population("input", shape), Population("output", (_CLASSES,), neuron(threshold=8.0))),
        (Projection("input", "output", (Dense(array(weights)),)),),
        ("input",),
        ("output",),
        Semantics(dt=1_000),
        Encoding(pool=POOL),
        name="bench",
    )


def _resident() -> int:
    """Bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


async def measure(seconds: float, rate: float) -> Result:
    """Streams for `seconds` at `rate` events/s. Raises StreamError where the camera's process fails."""
    with Feed(rate / 1e6) as feed:
        source = Evt3Line(Uri("evt3", "serial", feed.path))
        async with nrt.open("cpu:") as session:
            await session.deploy(_network())
            async with session.stream(source) as run:
                watched = _Watched(await asyncio.to_thread(feed.begin), seconds)
                async for packet in run:
                    if not watched.took(packet):
                        run.stop()
            report = run.report
        sent: Sent = await asyncio.to_thread(feed.sent)
    late = watched.late
    return Result(
        watched.seconds,
        rate,
        sent.events,
        sent.skipped,
        report.lost,
        report.events,
        watched.spikes,
        sent.bytes,
        (
            late.percentile(50) / 1e6,
            late.percentile(99) / 1e6,
            late.percentile(99.9) / 1e6,
            late.maximum / 1e6,
        ),
        watched.resident(),
        watched.cores,
        os.getloadavg()[0],
        host(),
    )


class _Watched:
    """The output packets of a run that began at host time `begin`, ns."""

    def __init__(self, begin: int, seconds: float) -> None:
        self._begin = begin
        self._stop = begin + int(seconds * 1e9)
        self._next = begin + int(_WARM * 1e9)
        self._warm = self._next
        self._rss: list[int] = []
        self.late = Histogram()
        self.spikes = 0
        self.seconds = self.cores = 0.0
        self._worked = time.process_time()

    def took(self, packet: Packet) -> bool:
        """False when the time is over."""
        stamp = now()
        self.spikes += len(packet.data)
        if stamp >= self._warm:
            self.late.record(stamp - self._begin - packet.end * 1_000)
        if stamp >= self._next:
            self._rss.append(_resident())
            self._next += 1_000_000_000
        self.seconds = (stamp - self._begin) / 1e9
        self.cores = (time.process_time() - self._worked) / self.seconds
        return stamp < self._stop

    def resident(self) -> tuple[int, int, int]:
        """At the start, at the end, at most."""
        found = self._rss or [_resident()]
        return found[0], found[-1], max(found)


def decode_stage(rate: float, repeat: int = 7) -> dict[str, float]:
    """MB/s of EVT3 words of the same stream in memory: medians of `repeat`, each over 10 turns of the blocks."""
    words = [piece.words for piece in pieces(rate / 1e6)]
    turns: list[bytes] = []
    for k in range(10 * len(words)):
        words[k % len(words)][0] = 0x8000 | (k * SLICE // BLOCK & 0xFFF)
        turns.append(words[k % len(words)].tobytes())
    raw = b"".join(turns)
    runs = {"decoder": _decoder_alone, "intake": _intake_alone}
    for run in runs.values():
        run(raw[: 1 << 16])
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            begin = now()
            run(raw)
            found[name].append(len(raw) * 1e3 / (now() - begin))
    return {name: statistics.median(rates) for name, rates in found.items()}


def _decoder_alone(raw: bytes) -> None:
    decoder, slab = Evt3Decoder(), np.zeros(1 << 16, EVENT)
    for at in range(0, len(raw), _CHUNK):
        rest = np.frombuffer(raw, np.uint8)[at : at + _CHUNK]
        while len(rest):
            used, _ = decoder.decode(rest, slab)
            rest = rest[used:]


def _intake_alone(raw: bytes) -> None:
    intake = Intake(lambda packet: None, cut=Cut(), origin="bench", decoder=Evt3Decoder())
    for at in range(0, len(raw), _CHUNK):
        intake.bytes(raw[at : at + _CHUNK], at)


def main(seconds: float, rate: float, *, json: bool) -> None:
    """Prints both measurements."""
    import json as json_module

    stage = decode_stage(rate)
    result = asyncio.run(measure(seconds, rate))
    if json:
        print(json_module.dumps({**result.to_dict(), "decode MB/s": stage}, indent=2))
        return
    print(result)
    print(
        f"decode  {stage['decoder']:.0f} MB/s of EVT3 by the decoder alone, "
        f"{stage['intake']:.0f} with order and packets"
    )
