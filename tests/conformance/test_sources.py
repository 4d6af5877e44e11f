"""SourceConformance over every source that needs no hardware: files, scenes, networks, every emulated camera."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from nrt import formats, registry
from nrt.formats.evt3 import Evt3Encoder
from nrt.live import LiveSource
from nrt.live.camera import Camera
from nrt.packet import EVENT
from nrt.record import Sink, Transfer
from nrt.record.aer import AerSink
from nrt.testing import SourceConformance
from nrt.testing.source import Scene
from nrt_sim.wires.emitter import Emitter
from nrt_sim.wires.ports import Port


class TestSynth(SourceConformance):
    uri: ClassVar[str] = "synth:bar?sensor=dvs128&seconds=1"


class TestFile(SourceConformance):
    @contextlib.asynccontextmanager
    async def far(self, scene: Scene) -> AsyncGenerator[str]:
        path = Path(self.folder, "some.raw")
        rng = np.random.default_rng(1)
        events = np.zeros(20_000, EVENT)
        events["t"] = np.sort(rng.integers(0, 500_000, len(events)))
        events["x"], events["y"] = rng.integers(0, 128, (2, len(events)))
        with formats.create(path, "evt3", (2, 128, 128)) as writer:
            writer.write(events)
        yield f"file:{path}"


class SocketPort(Port):
    """Bytes to a TCP connection, which stays open when there are no more."""

    address = "tcp"

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def write(self, raw: memoryview, word: int) -> int:
        with contextlib.suppress(OSError):  # the source has enough
            self._socket.sendall(raw)
        return len(raw)

    def close(self) -> None:
        pass


class Fed(SourceConformance):
    """A source that somebody sends to while it is open."""

    live: ClassVar[bool] = True

    @contextlib.asynccontextmanager
    async def sending(self, scene: Scene, sink: Sink) -> AsyncGenerator[None]:
        what = self.busy if scene == "busy" else f"file:{self.few()}?speed=1"
        transfer = Transfer(registry.source(what), sink)
        task = asyncio.create_task(transfer.run())
        try:
            yield
        finally:
            transfer.stop()
            await asyncio.wait([task])


class TestSpif(Fed):
    damages: ClassVar[str] = "faults=lose:0.02,repeat:0.02,seed:1"

    @contextlib.asynccontextmanager
    async def far(self, scene: Scene) -> AsyncGenerator[str]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        sink = AerSink.make(f"spif://127.0.0.1:{port}?times=yes")
        async with self.sending(scene, sink):
            yield f"spif://127.0.0.1:{port}?width=128&height=128"


class TestSpifWithoutTimes(TestSpif):
    @contextlib.asynccontextmanager
    async def far(self, scene: Scene) -> AsyncGenerator[str]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with self.sending(scene, AerSink.make(f"spif://127.0.0.1:{port}")):
            yield f"spif://127.0.0.1:{port}?width=128&height=128"


class TestTcp(Fed):
    damages: ClassVar[str] = "faults=corrupt:1e-4,lose:1e-4,seed:1"

    @contextlib.asynccontextmanager
    async def far(self, scene: Scene) -> AsyncGenerator[str]:
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)

        async def serve() -> None:
            connection, _ = await loop.sock_accept(listener)
            connection.setblocking(True)
            with connection:
                async with self.sending(scene, Emitter(Evt3Encoder(), SocketPort(connection))):
                    await asyncio.Event().wait()

        task = asyncio.create_task(serve())
        try:
            yield f"tcp://127.0.0.1:{listener.getsockname()[1]}?format=evt3"
        finally:
            task.cancel()
            await asyncio.wait([task])
            listener.close()


def _emulated(scheme: str) -> type[SourceConformance] | None:
    """The tests of an emulated camera, by what its driver is."""
    made = registry.load(registry.SOURCES[scheme])
    if not issubclass(made, LiveSource):
        return None
    on_a_wire = issubclass(made, Camera)
    attributes = {
        "uri": f"{scheme}+emu:",
        "live": True,
        "plays": True,
        "unplugs": "faults=in.unplug:20000" if on_a_wire else "unplug=0.3",
        "damages": "faults=in.corrupt:1e-4,in.lose:1e-4,seed:1" if on_a_wire else "",
        "pytestmark": [] if on_a_wire else [_LIBRARY],
    }
    return type(f"Test{scheme.capitalize()}", (SourceConformance,), attributes)


_LIBRARY = pytest.mark.skipif(
    __import__("importlib.util").util.find_spec("neuromorphic_drivers") is None,
    reason="neuromorphic-drivers is not installed: pip install 'nrt-runtime[cameras]'",
)

for _scheme in sorted(registry.SOURCES.keys() & registry.BOARDS.keys()):
    if (_class := _emulated(_scheme)) is not None:
        globals()[_class.__name__] = _class
