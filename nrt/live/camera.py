"""Camera: a LiveSource whose bytes come over a wire."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Final, Unpack

import numpy as np

from nrt.clock import now
from nrt.errors import DeviceError
from nrt.formats.base import Decoder
from nrt.live.intake import Intake
from nrt.live.silence import Silence
from nrt.live.source import LiveOptions, LiveSource
from nrt.packet import EVENT
from nrt.registry import Uri
from nrt.wire import Wire, wire

FAREWELL: Final = 1.0
"""Seconds that asking a camera to stop may take: a line may be stuck."""
_NOTHING: Final = np.frombuffer(bytes(64), np.uint8)[:0]
"""Bytes as they arrive, and none of them."""


class Camera(LiveSource):
    """Subclasses say how it is greeted, started and stopped, and what decodes its bytes.

    line:     what the camera's spec says of its own line (baud, vendor, product, …), below the URI's options
    promised: whether its protocol has it send words even when it sees nothing; then silence is an error
    """

    line: Mapping[str, int] = {}
    promised: bool = False

    def __init__(self, uri: Uri, **live: Unpack[LiveOptions]) -> None:
        super().__init__(uri, **live)
        self._wire: Wire = wire(uri, self.line)
        self._silence = Silence(str(uri), promised=self.promised)
        self._watch: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Opens the wire and greets the camera. Raises NotFound, DeviceBusy, DeviceError, ProtocolError."""
        await self._wire.open()
        try:
            await self._greet()
            self._decoder().decode(_NOTHING, np.zeros(64, EVENT))  # compiles it before it matters
        except BaseException:
            await self._wire.close()
            raise

    async def close(self) -> None:
        await self._stop()
        await self._wire.close()

    @abstractmethod
    async def _greet(self) -> None:
        """Makes sure that this is the camera, learns its shape, sets it up. It does not stream yet."""

    @abstractmethod
    async def _begin(self) -> None:
        """Lets it stream; its bytes are taken already."""

    @abstractmethod
    async def _halt(self) -> None:
        """Asks it to stream no more; the wire may be gone."""

    @abstractmethod
    def _decoder(self) -> Decoder: ...

    async def _start(self, intake: Intake, end: Callable[[BaseException | None], None]) -> None:
        def take(data: bytes, stamp: int) -> None:
            if data:
                self._silence.heard(stamp)
                intake.bytes(data, stamp)
            else:
                self._silence.quiet(stamp)
                intake.quiet(stamp)

        self._silence.begin(now())
        self._wire.feed(take)
        self._watch = asyncio.create_task(self._until_gone(end), name="nrt.camera")
        await self._begin()

    async def _until_gone(self, end: Callable[[BaseException | None], None]) -> None:
        try:
            await self._wire.read()
        except Exception as error:
            end(error)

    async def _stop(self) -> None:
        watch, self._watch = self._watch, None
        if watch is None:
            return
        with contextlib.suppress(DeviceError, TimeoutError):  # it is gone, or takes no more commands
            async with asyncio.timeout(FAREWELL):
                await self._halt()
        watch.cancel()
        await asyncio.wait([watch])

    def counters(self) -> Mapping[str, int]:
        """What was repaired or dropped, here and on the wire; only what is not zero."""
        plain = ("bytes in", "bytes out")
        line = {name: count for name, count in self._wire.counters().items() if name not in plain}
        return {**super().counters(), **self._silence.counters(), **line}
