"""How a task is ended that may not want to: asked, then cancelled, then left alone, and remembered for that."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from nrt.clock import now

log = logging.getLogger("nrt.daemon")

CANCEL: Final = 1.0
"""Seconds in which a cancelled task may close what it has open; then it is left alone."""
ASLEEP: Final = 10_000_000_000
"""ns after which what was left alone counts as hanging for good."""


class Ending:
    """Of one pipeline's tasks."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._left: list[tuple[int, asyncio.Task[None]]] = []

    @property
    def hangs(self) -> bool:
        """Whether something does not end that only the end of the process would end."""
        self._left = [(since, task) for since, task in self._left if not task.done()]
        return any(now() - since > ASLEEP for since, _ in self._left)

    async def end(self, task: asyncio.Task[None], patience: float) -> None:
        """Waits `patience` seconds for a task that was asked to end, and `CANCEL` for it to be cancelled."""
        if patience:
            await asyncio.wait([task], timeout=patience)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL)
        if not task.done():
            self._left.append((now(), task))
            log.error(
                "%s does not end; it is left alone", task.get_name(), extra={"pipeline": self._pipeline}
            )
