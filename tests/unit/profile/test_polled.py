"""The thread of a meter that has to be looked at again and again."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from nrt.errors import DeviceLost
from nrt.profile.meters import Channel
from nrt.profile.meters.polled import PolledMeter, Probe
from nrt.profile.meters.tally import PowerTally


class Shaky(PolledMeter):
    """Shows 1 W, but fails the first time that its thread looks."""

    def __init__(self) -> None:
        super().__init__("shaky:", 0.001)
        self.failed = threading.Event()
        self.looked = threading.Event()

    @property
    def instrument(self) -> str:
        return "shaky"

    def _find(self) -> Sequence[Probe]:
        return [Probe(Channel("rail", "board"), PowerTally("shaky:"), self._watts)]

    def _watts(self) -> float:
        if threading.current_thread() is threading.main_thread():
            return 1.0
        if not self.failed.is_set():
            self.failed.set()
            raise DeviceLost("shaky:", "gone for a moment")
        self.looked.set()
        return 1.0


async def test_what_its_thread_stumbled_over_is_told_by_the_next_lap_and_then_it_looks_again() -> None:
    meter = Shaky()
    await meter.open()
    try:
        assert await asyncio.to_thread(meter.failed.wait, 60)
        with pytest.raises(DeviceLost, match="gone for a moment"):
            await meter.lap()
        assert await asyncio.to_thread(meter.looked.wait, 60)
        (lap,) = await meter.lap()
    finally:
        await meter.close()
    assert lap.joules == pytest.approx(lap.seconds)
    assert lap.samples > 1
