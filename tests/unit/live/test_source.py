from __future__ import annotations

from collections.abc import Callable

import pytest

from nrt.errors import DeviceLost
from nrt.live import Intake, LiveSource
from nrt.packet import Packet
from nrt.registry import Uri
from tests.fakes import events


class Unplugged(LiveSource):
    """A camera that sees three events, the last two in a packet that is not complete, and is pulled out."""

    shape = (2, 4, 4)

    async def _start(self, intake: Intake, end: Callable[[BaseException | None], None]) -> None:
        intake.events(events((0, 0, 0, 1), (1_200, 1, 1, 1), (1_300, 2, 2, 0)), 0)
        end(DeviceLost(self.uri, "the line is gone"))

    async def _stop(self) -> None:
        pass


async def test_what_a_camera_saw_before_it_was_unplugged_is_delivered_before_the_error() -> None:
    source = Unplugged(Uri("test"))
    found: list[Packet] = []
    with pytest.raises(DeviceLost, match="the line is gone"):
        async for packet in source.packets():
            found.append(packet)
    assert [(p.start, p.end, len(p)) for p in found] == [(0, 1_000, 1), (1_000, 1_301, 2)]
