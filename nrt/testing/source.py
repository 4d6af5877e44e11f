"""SourceConformance: what every source owes those who iterate over it, as tests to be inherited.

```python
from nrt.testing import SourceConformance

class TestMyCamera(SourceConformance):
    uri = "mycamera+serial:///dev/ttyUSB0"
    live = True
```

Subclasses say what their source can do by class attributes; one that needs somebody at the far side overrides `far`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import ClassVar, Literal
from urllib.parse import quote

import numpy as np
import pytest

from nrt.errors import DeviceError, DeviceLost, Overrun, StreamError
from nrt.packet import EVENT, Packet
from nrt.registry import source as registered
from nrt.source import Source

Scene = Literal["busy", "few"]
"""Something always moves; or: ten events, and then nothing does."""

QUEUE_US = 10_000
"""What may wait for a slow consumer in these tests."""
PAUSE = 0.2
"""Seconds for which the slow consumer does something else."""


class SourceConformance:
    """Tests of one source. Set `uri`; for an emulated camera `plays`, the option that names its scene, too.

    live:    it cannot wait: a slow consumer loses events, and time passes in silence
    plays:   whether it has the option `plays`
    unplugs: options that make it vanish after a while
    damages: options that make its wire faulty
    patience: seconds after which a test gives up
    """

    uri: ClassVar[str] = ""
    live: ClassVar[bool] = False
    plays: ClassVar[bool] = False
    unplugs: ClassVar[str] = ""
    damages: ClassVar[str] = ""
    patience: ClassVar[float] = 60.0
    busy: ClassVar[str] = "synth:bar?sensor=dvs128&seconds=0"

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    def few(self) -> Path:
        """A recording of ten events in a millisecond."""
        path = self.folder / "few.csv"
        lines = ["t,x,y,p", *(f"{100 * k},{k},{k},{k % 2}" for k in range(10))]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    @contextlib.asynccontextmanager
    async def far(self, scene: Scene) -> AsyncGenerator[str]:
        """What is there while the source is open; yields the URI that it has."""
        if not self.uri:
            pytest.skip("no source was named")
        if not self.plays:
            if scene != "busy":
                pytest.skip("what this source sees cannot be chosen")
            yield self.uri
            return
        what = self.busy if scene == "busy" else f"file:{self.few()}"
        yield _with(self.uri, f"plays={quote(what, safe='')}")

    @contextlib.asynccontextmanager
    async def opened(self, options: str = "", scene: Scene = "busy") -> AsyncGenerator[Source]:
        """An open source."""
        async with asyncio.timeout(self.patience), self.far(scene) as uri:
            source = registered(_with(uri, options))
            try:
                await source.open()
                yield source
            finally:
                await source.close()

    async def some(self, source: Source, count: int = 30) -> list[Packet]:
        """The first packets of the source, with copies of their events."""
        taken: list[Packet] = []
        async with contextlib.aclosing(source.packets()) as packets:  # type: ignore[type-var]
            async for packet in packets:
                taken.append(packet)
                if len(taken) == count:
                    break
        return taken

    async def test_closing_is_harmless_before_opening_and_twice_after_it(self) -> None:
        async with self.opened() as source:
            await source.close()
            await source.close()
        async with asyncio.timeout(self.patience), self.far("busy") as uri:
            await registered(uri).close()

    async def test_packets_follow_each_other_in_order_and_inside_the_sensor(self) -> None:
        async with self.opened() as source:
            packets = await self.some(source)
            assert sum(map(len, packets)) > 0
            _require_sound(packets, source)

    async def test_it_can_be_opened_again(self) -> None:
        async with self.opened() as source:
            assert await self.some(source, 3)
            await source.close()
            async with asyncio.timeout(self.patience), self.far("busy") as uri:
                again = registered(uri)
                try:
                    await again.open()
                    _require_sound(await self.some(again, 10), again)
                finally:
                    await again.close()

    async def test_stopping_early_leaves_no_thread_and_no_task_behind(self) -> None:
        before = set(threading.enumerate())
        async with self.opened() as source:
            assert await self.some(source, 2)
        left = [each.name for each in set(threading.enumerate()) - before if each.name.startswith("nrt")]
        tasks = [each.get_name() for each in asyncio.all_tasks() if each.get_name().startswith("nrt")]
        assert not left
        assert not tasks

    async def test_it_can_be_closed_while_somebody_waits_for_a_packet(self) -> None:
        async with self.opened() as source:
            waiting = asyncio.create_task(self.some(source, 1 << 30))
            await asyncio.sleep(0.05)
            waiting.cancel()
            await asyncio.wait([waiting])
            await source.close()

    async def test_a_slow_consumer_loses_the_oldest_events_and_is_told_how_many(self) -> None:
        """And what waits for it never spans more than the queue may, however long it was away."""
        self._require(self.live, "this source waits")
        async with self.opened(f"queue={QUEUE_US}us") as source:
            packets = source.packets()
            taken = [await anext(packets) for _ in range(3)]
            await asyncio.sleep(PAUSE)
            back = [await anext(packets) for _ in range(5)]
            await packets.aclose()  # type: ignore[attr-defined]
            assert back[0].lost > 0
            away = back[0].end - taken[-1].end
            assert away > QUEUE_US
            _require_sound([*taken, *back], source)
            assert source.counters().get("dropped", 0) > 0

    async def test_strict_raises_rather_than_lose(self) -> None:
        self._require(self.live, "this source waits")
        async with self.opened(f"queue={QUEUE_US}us&strict=yes") as source:
            packets = source.packets()
            with pytest.raises(Overrun) as caught:  # a busy machine may be too slow before the pause already
                await anext(packets)
                await asyncio.sleep(PAUSE)
                for _ in range(50):
                    await anext(packets)
            await packets.aclose()  # type: ignore[attr-defined]
        assert caught.value.lost > 0

    async def test_time_goes_on_when_nothing_moves(self) -> None:
        self._require(self.live, "this source has no clock of its own")
        async with self.opened(scene="few") as source:
            packets = await self.some(source, 60)
        _require_sound(packets, source)
        assert sum(map(len, packets)) == 10
        assert packets[-1].end - packets[0].start > 50_000

    async def test_unplugging_is_told(self) -> None:
        self._require(bool(self.unplugs), "this source cannot be unplugged by an option")
        async with self.opened(self.unplugs) as source:
            with pytest.raises(DeviceLost):
                await self.some(source, 1 << 30)

    async def test_a_faulty_wire_gives_sound_packets_or_one_error(self) -> None:
        self._require(bool(self.damages), "this source has no wire")
        async with asyncio.timeout(self.patience), self.far("busy") as uri:
            source = registered(_with(uri, self.damages))
            packets: list[Packet] = []
            with contextlib.suppress(DeviceError, StreamError):
                await source.open()
                packets = await self.some(source, 60)
            await source.close()
            _require_sound(packets, source)
            assert any(name.startswith(("in ", "out ")) for name in source.counters()), source.counters()

    def _require(self, able: bool, reason: str) -> None:
        if not able:
            pytest.skip(reason)


def _with(uri: str, options: str) -> str:
    return f"{uri}{'&' if '?' in uri else '?'}{options}" if options else uri


def _require_sound(packets: Sequence[Packet], source: Source) -> None:
    """Packets join up; their events are ordered, in their span, and inside the sensor."""
    for before, after in itertools.pairwise(packets):
        assert before.end == after.start
        assert before.stamp <= after.stamp
    for packet in packets:
        assert packet.data.dtype == EVENT
        assert packet.start <= packet.end
        assert packet.lost >= 0
        t = packet.data["t"]
        assert bool(np.all((t >= packet.start) & (t < packet.end)))
        assert bool(np.all(t[1:] >= t[:-1]))
        if source.shape is not None:
            polarities, height, width = source.shape
            assert bool(np.all(packet.data["x"] < width))
            assert bool(np.all(packet.data["y"] < height))
            assert bool(np.all(packet.data["p"] < polarities))
