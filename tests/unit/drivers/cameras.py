"""What the tests of cameras share: a scene in a file, what a camera makes of it, and an emulated one behind pyusb."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import numpy as np
import pytest

from nrt import formats, registry
from nrt.live import Camera
from nrt.packet import EVENT, Packet, Records, join
from nrt.registry import Uri
from nrt.source import Source
from nrt.wire import Board, MemoryWire, board
from nrt_sim.serve.usb import UsbBoard
from nrt_sim.wires.backend import Backend
from tests.unit.formats.streams import Rows, random_events, rows


def lone_events(seed: int, count: int, shape: tuple[int, int, int], step: int) -> Records:
    """Random events, no two of them at one time, the first at time 0."""
    rng = np.random.default_rng(seed)
    found = np.zeros(count, EVENT)
    found["t"][1:] = np.cumsum(rng.integers(1, step, count - 1))
    found["x"], found["y"] = rng.integers(0, shape[2], count), rng.integers(0, shape[1], count)
    found["p"] = rng.integers(0, 2, count)
    return found


def scene(
    folder: Path, shape: tuple[int, int, int], *, count: int = 3_000, step: int = 150, lone: bool = False
) -> tuple[str, Rows]:
    """A recording of random events, by its URI, and what is in it; the first of them at time 0.

    lone: no two at one time, nor in rows
    """
    found = lone_events(11, count, shape, step) if lone else random_events(11, count, shape, step)
    found["t"] -= found["t"][0]
    path = folder / "scene.aedat4"
    with formats.create(path, "aedat4", shape) as writer:
        writer.write(found)
    return f"file:{path}", rows(found)


WHOLE = "packet=500ms"
"""All of a scene in one packet, so that no event is late for its packet on a slow machine."""


def camera(uri: str) -> Camera:
    made = registry.source(uri)
    assert isinstance(made, Camera)
    return made


def before(far: Board, uri: str) -> Camera:
    """The camera of `uri` with `far` on its wire."""
    made = camera(uri)
    vars(made)["_wire"] = MemoryWire(far, uri)
    return made


async def received(source: Source, count: int) -> list[Packet]:
    """Packets until `count` events have come."""
    taken: list[Packet] = []
    async with contextlib.aclosing(source.packets()) as packets:  # type: ignore[type-var]
        async for packet in packets:
            taken.append(packet)
            if sum(map(len, taken)) >= count:
                break
    return taken


async def seen(source: Camera, count: int, seconds: float = 40) -> Records:
    """The first `count` events of a camera that is not open yet."""
    try:
        async with asyncio.timeout(seconds):
            await source.open()
            return join([packet.data for packet in await received(source, count)])
    finally:
        await source.close()


def from_zero(events: Records) -> Rows:
    """The events, their times from the first on."""
    moved = events.copy()
    moved["t"] -= moved["t"][0]
    return rows(moved)


def as_far(found: Records, wanted: Rows) -> tuple[Rows, Rows]:
    """What was seen, and as much of the scene: packets may hold a few more events than asked for."""
    return from_zero(found), wanted[: len(found)]


def on_usb(
    monkeypatch: pytest.MonkeyPatch, uri: str, product: int, endpoint: int, serial: str = "A1"
) -> UsbBoard:
    """The emulated camera of `uri` as a device on pyusb's bus, which has no other."""
    device = UsbBoard(board(Uri.parse(uri)), 0x152A, product, serial, endpoints=(endpoint,))

    def get_backend(find_library: object = None) -> Backend:
        return device.backend

    monkeypatch.setattr("usb.backend.libusb1.get_backend", get_backend)
    return device
