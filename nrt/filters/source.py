"""Filtered: a source whose events go through a chain of filters."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping

import numpy as np

from nrt.filters.chain import Chain
from nrt.packet import EVENT, Packet, Records
from nrt.source import Source


class Filtered(Source):
    """`inner` behind `chain`: its shape, its counters and its identity are those of the filtered stream.

    A source that can (`Source.attach`) filters in the thread that makes its packets. For any other the events are
    copied where the packets are taken, since they may not be ours to move.
    """

    def __init__(self, inner: Source, chain: Chain) -> None:
        self.inner, self.chain = inner, chain
        self.uri = inner.uri
        self.finite, self.scheduled = inner.finite, inner.scheduled
        self.shape = None if inner.shape is None else chain.shape(inner.shape)
        self._attached = inner.attach(chain)

    async def open(self) -> None:
        """Opens the source and gets its filters ready. Raises what the source raises, and ConfigError."""
        await self.inner.open()
        try:
            self.shape = self.chain.shape(self.inner.shape)
            self.chain.start(self.inner.shape)
            await asyncio.to_thread(self.chain.warm)
        except BaseException:
            await self.inner.close()
            raise

    async def close(self) -> None:
        await self.inner.close()

    def packets(self) -> AsyncIterator[Packet]:
        """The source's packets with the events that stay; every one of them, also where none does."""
        self.chain.start(self.inner.shape)
        packets = self.inner.packets()
        return packets if self._attached else self._filtered(packets)

    async def _filtered(self, packets: AsyncIterator[Packet]) -> AsyncIterator[Packet]:
        try:
            async for packet in packets:
                yield dataclasses.replace(packet, data=self.chain(_copy(packet.data)))
        finally:
            aclose = getattr(packets, "aclose", None)
            if aclose is not None:
                await aclose()

    def host_time(self, t: int) -> int | None:
        return self.inner.host_time(t)

    def counters(self) -> Mapping[str, int]:
        return {**self.inner.counters(), **self.chain.counters()}

    def identity(self) -> Mapping[str, str]:
        return {**self.inner.identity(), "uri": self.uri, "filter": str(self.chain)}


def _copy(events: Records) -> Records:
    """A copy as words, padding and all: numpy copies the fields of records one by one."""
    if events.dtype != EVENT:
        return events  # the chain says what is wrong with it
    return np.ascontiguousarray(events).view(np.uint64).copy().view(EVENT)
