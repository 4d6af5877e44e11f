"""Source: a camera, a recording or a simulated sensor. Packets come out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping

from nrt.packet import Packet, Records


class Source(ABC):
    """Something that yields packets of events.

    After `open`, `shape` is (polarities, height, width), or None where the source cannot know it.
    finite: whether it ends by itself. scheduled: whether packet stamps are the times at which events were
    due (a camera, a paced recording) rather than the moment they happened to be read.
    """

    uri: str = ""
    shape: tuple[int, int, int] | None = None
    finite: bool = True
    scheduled: bool = False

    @classmethod
    def availability(cls) -> str:
        """ "ready", or what is still missing; without opening anything."""
        return "ready"

    async def open(self) -> None:
        """Acquires the camera or file. Raises NotFound, BadRecording, DeviceError."""

    async def close(self) -> None:
        """Releases it, in whatever state; may be called twice."""

    @abstractmethod
    def packets(self) -> AsyncIterator[Packet]:
        """The packets, in time order, each starting where the one before ended."""

    def host_time(self, t: int) -> int | None:
        """Host ns at which stream time `t`, µs, was by the sensor's own clock, as far as that is known from here."""
        return None

    def attach(self, filter: Callable[[Records], Records]) -> bool:
        """Has every packet's events go through `filter`, in place, where packets are made; False where it cannot.

        A source that can does that in its own thread (`nrt.filters`); for any other, nrt filters copies.
        """
        return False

    def counters(self) -> Mapping[str, int]:
        """What the source repaired or lost, by name (such as "late", "resets"); only what is not zero."""
        return {}

    def identity(self) -> Mapping[str, str]:
        """What a report must say to repeat the run: format, file hash, camera serial, firmware."""
        return {"uri": self.uri}
