"""The queue of what came from a broker, which has reading stop while it is long: the backpressure of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

HIGH: Final = 256
"""Messages that wait here when reading stops."""
LOW: Final = 64
"""The same when it goes on."""


class Gate(asyncio.Queue[T]):
    """Calls `pause` when it is long, and `resume` when it is short again; nothing before `watch`."""

    _pause: Callable[[], None] | None = None
    _resume: Callable[[], None] | None = None
    _paused = False

    def watch(self, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        """Says what to call."""
        self._pause, self._resume = pause, resume

    def _put(self, item: T) -> None:
        super()._put(item)
        if not self._paused and self._pause is not None and self.qsize() >= HIGH:
            self._paused = True
            self._pause()

    def _get(self) -> T:
        item = super()._get()
        if self._paused and self._resume is not None and self.qsize() <= LOW:
            self._paused = False
            asyncio.get_running_loop().call_soon(self._resume)
        return item
