"""Pictures: the events of one sixtieth of a second as a small image, made and packed by kernels.

A pixel is one byte: ON events in its low four bits, OFF events in the high ones, each up to 15. Packed, an image is a
bit for each pixel, in order of rows, lowest bit first, that says whether anything happened there, and then the bytes of
those pixels. So a quiet image of 640 x 480 takes 38 kB, one of 50 000 scattered events 84 kB, and any other at most an
eighth more than its pixels; there is one form, not one for few and one for many events.

A sensor larger than `LARGEST` is binned: factor x factor of its pixels are one of the image.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from nrt.jit import jit
from nrt.packet import EVENT, Packet, Records, words

LARGEST: Final = (480, 640)
"""Rows and columns that an image has at most."""


@jit
def _accumulate(
    image: NDArray[np.uint8], events: NDArray[np.uint64], width: int, height: int, factor: int, columns: int
) -> int:
    """Counts `events`, rows of (t, fields), into `image`; how many lay outside."""
    outside = 0
    for k in range(len(events)):
        fields = events[k, 1]
        x, y = np.int64(fields & np.uint64(0xFFFF)), np.int64((fields >> np.uint64(16)) & np.uint64(0xFFFF))
        if x >= width or y >= height:
            outside += 1
            continue
        if factor > 1:
            x, y = x // factor, y // factor
        at = y * columns + x
        shift = 4 * (
            1 - np.int64((fields >> np.uint64(32)) & np.uint64(1))
        )  # which half; no branch on chance
        value = np.int64(image[at])
        image[at] = value + (np.int64((value >> shift) & 0x0F != 0x0F) << shift)
    return outside


@jit
def _pack(image: NDArray[np.uint8], words: NDArray[np.uint64], out: NDArray[np.uint8]) -> int:
    """Packs `image`, which `words` views eight bytes at a time, into `out` and clears it; the bytes of `out` used."""
    used = len(words)
    for k in range(len(words)):
        if words[k] == 0:
            out[k] = 0
            continue
        bits = 0
        for j in range(8):  # without a branch: whether a pixel is lit cannot be foretold
            value = image[8 * k + j]
            lit = int(value != 0)
            bits |= lit << j
            out[used] = value
            used += lit
        out[k] = bits
        words[k] = 0
    return used


class Picture:
    """The image that is being made of a sensor of `height` x `width` pixels."""

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self.factor = max(-(-height // LARGEST[0]), -(-width // LARGEST[1]), 1)
        self.rows, self.columns = -(-height // self.factor), -(-width // self.factor)
        whole = -(-self.rows * self.columns // 8)
        self._image = np.zeros(8 * whole, np.uint8)
        self._words = self._image.view(np.uint64)
        self._out = np.empty(9 * whole + 1, np.uint8)  # one more, which a last dark pixel is written to
        self.events = self.outside = 0

    def take(self, packet: Packet) -> None:
        """Counts the events of a packet; a few ns for each."""
        if len(packet.data):
            data = packet.data if packet.data.dtype == EVENT else self._located(packet.data)
            events = words(np.ascontiguousarray(data))
            self.outside += _accumulate(
                self._image, events, self._width, self._height, self.factor, self.columns
            )
            self.events += len(events)

    def _located(self, spikes: Records) -> Records:
        """Spikes that count pixels in C, H, W order as events."""
        polarity, place = np.divmod(spikes["n"], np.uint32(self._height * self._width))
        events = np.zeros(len(spikes), EVENT)
        events["y"], events["x"] = np.divmod(place, np.uint32(self._width))
        events["p"] = polarity == 1
        return events

    def pack(self) -> NDArray[np.uint8]:
        """The image so far, packed, in an array that the next call writes anew; the next image is empty."""
        self.events = self.outside = 0
        return self._out[: _pack(self._image, self._words, self._out)]


def warm() -> None:
    """Compiles the kernels."""
    picture = Picture(2, 2)
    picture.take(Packet(np.zeros(1, EVENT), 0, 1, 0))
    picture.pack()
