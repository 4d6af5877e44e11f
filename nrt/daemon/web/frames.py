"""Frames: what the viewers of one pipeline see sixty times a second, made once for all of them.

Nothing is made while nobody looks: taps are on a pipeline only while somebody views it. A tap counts a packet's events
into a picture and keeps its spikes; sixty times a second both are packed into one frame, and that frame is offered to
every viewer, who takes it or not. So what viewers cost the pipeline is the same for one and for many, and bounded.

A frame is 48 bytes of header, the dots of the raster and the packed picture, little endian:

| offset | type | what |
|---|---|---|
| 0 | u1, u1 | 1: a frame · 1: version |
| 2 | u2 | lines of the raster |
| 4 | u2, u2, u2 | columns, rows, and pixels of the sensor in one of the picture's, each way |
| 10 | u2 | number of the layout: which populations have which lines |
| 12 | u4 | number of the frame |
| 16 | u4, u4, u4 | events in the picture · dots · spikes left out of the raster |
| 28 | u4 | 0 |
| 32 | f8 | µs of the stream that the device has come to |
| 40 | f8 | Unix time, ms, at which the newest packet in the frame had come or was due |
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable
from typing import Final

from nrt.clock import now
from nrt.daemon.pipeline import Pipeline
from nrt.daemon.web.picture import Picture
from nrt.daemon.web.raster import Band, Raster
from nrt.packet import Packet

HEADER: Final = struct.Struct("<BBHHHHHIIIIIdd")
FRAMES: Final = 60
"""Frames in a second."""


class Frames:
    """The frames of `pipeline`, while somebody looks.

    show: takes each, its number, and when its newest packet came, ns · changed: called when the layout is another
    """

    def __init__(
        self, pipeline: Pipeline, show: Callable[[bytes, int, int], None], changed: Callable[[], None]
    ) -> None:
        self.pipeline = pipeline
        self._show, self._changed = show, changed
        self._task: asyncio.Task[None] | None = None
        self._untap: list[Callable[[], None]] = []
        self._picture: Picture | None = None
        self._raster = Raster({})
        self._arranged: object = None
        self._number = self._stamp = 0
        self.layout = 0

    @property
    def bands(self) -> tuple[Band, ...]:
        """The lines of the raster."""
        return self._raster.bands

    def start(self) -> None:
        """Begins to make frames."""
        if self._task is None:
            self._arrange()
            self._untap = [self.pipeline.tap_events(self._events), self.pipeline.tap_spikes(self._spikes)]
            self._task = asyncio.create_task(self._run(), name=f"nrt.web {self.pipeline.name}")

    async def stop(self) -> None:
        """Leaves the pipeline as it was found."""
        for untap in self._untap:
            untap()
        self._untap.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    def _events(self, packet: Packet) -> None:
        if self._picture is not None:
            self._picture.take(packet)
        self._stamp = max(self._stamp, packet.stamp)

    def _spikes(self, packet: Packet) -> None:
        self._raster.take(packet)

    async def _run(self) -> None:
        due = time.monotonic()
        while True:
            due = max(due + 1 / FRAMES, time.monotonic() - 1 / FRAMES)  # never makes up for missed frames
            await asyncio.sleep(due - time.monotonic())
            self._arrange()
            if self._stamp:
                self._show(self._frame(), self._number, self._stamp)
                self._stamp = 0

    def _arrange(self) -> None:
        """Takes the sensor and the populations as they are now: a deployment or a restart may change them."""
        network, shape = self.pipeline.network, self.pipeline.input_shape
        found = (network and network.hash, shape)
        if self._arranged == found:
            return
        self._arranged = found
        self._picture = Picture(shape[1], shape[2]) if shape is not None else None
        names = () if network is None else dict.fromkeys((*network.outputs, *self.pipeline.config.taps))
        self._raster = Raster({} if network is None else {name: network[name].size for name in names})
        self.layout = (self.layout + 1) % (1 << 16)
        self._changed()

    def _frame(self) -> bytes:
        self._number = (self._number + 1) % (1 << 32)
        picture, raster = self._picture, self._raster
        end, left_out = raster.end, raster.left_out
        raster.left_out = 0
        dots = raster.pack(end)
        events = picture.events if picture is not None else 0
        size = (picture.columns, picture.rows, picture.factor) if picture is not None else (0, 0, 1)
        lines = sum(band.lines for band in raster.bands)
        came = time.time() * 1e3 - (now() - self._stamp) / 1e6
        header = HEADER.pack(
            1,
            1,
            lines,
            *size,
            self.layout,
            self._number,
            events,
            len(dots),
            min(left_out, (1 << 32) - 1),
            0,
            end,
            came,
        )
        return header + dots.tobytes() + (picture.pack().tobytes() if picture is not None else b"")
