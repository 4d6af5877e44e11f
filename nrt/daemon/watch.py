"""Whether packets pass: a source that sends none is lost, a device that gives none back has stalled.

Until the first packet of the process has passed, more patience is due: on a small machine with an empty cache, kernels
take a minute to compile, and a restart would only begin that anew.
"""

from __future__ import annotations

from typing import Final

from nrt.clock import now
from nrt.daemon.config import PipelineConfig
from nrt.daemon.feed import Feed
from nrt.daemon.stats import Totals
from nrt.errors import DeviceTimeout

FIRST: Final = 120_000_000
"""µs that the first packet of a process may take."""


class Watch:
    """Looks at one life of a pipeline; times are the host's monotonic ones, so a step of the clock means nothing."""

    def __init__(self, config: PipelineConfig) -> None:
        self._config = config

    def trouble(self, totals: Totals, feed: Feed) -> tuple[str, DeviceTimeout] | None:
        """("source" or "device", the sentence) where something does not pass any more."""
        config, present = self._config, now()
        stall = config.stall if totals.answers else max(config.stall, FIRST)
        silence = config.silence if totals.packets else max(config.silence, FIRST)
        behind = totals.last_in > totals.last_out or feed.waiting > 0
        if behind and present - totals.last_out > stall * 1_000:
            reason = f"nothing came out for {(present - totals.last_out) / 1e9:.1f} s, though packets went in"
            return "device", DeviceTimeout(config.device, reason)
        if not feed.waiting and not feed.ended and present - totals.last_in > silence * 1_000:
            reason = f"no packet for {(present - totals.last_in) / 1e9:.1f} s"
            return "source", DeviceTimeout(config.source, reason)
        return None
