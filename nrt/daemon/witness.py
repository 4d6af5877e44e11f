"""Witness: sees every packet of a pipeline, counts, decides, and tells of what is lost and back again.

It outlives the lives of its pipeline; a `Flow` tells it what happens, on the event loop, a few additions per packet.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from nrt.clock import now
from nrt.daemon.config import PipelineConfig
from nrt.daemon.flow import Flow
from nrt.daemon.notice import Alarm, AlarmKind, Decision, Ids, Notice
from nrt.daemon.output import Outputs
from nrt.daemon.stats import Totals
from nrt.errors import ConfigError, DeployError, DeviceError, MissingDependency, SpecError
from nrt.network import Network
from nrt.packet import Packet
from nrt.profile.window import Windows
from nrt.report import Report
from nrt.source import Source

log = logging.getLogger("nrt.daemon")

HOPELESS: Final = (ConfigError, DeployError, MissingDependency, SpecError)
"""Errors that no restart heals."""
IMAGE: Final = 33_000
"""µs of stream that are kept for a picture."""
LATE: Final = (0.01, 1_000)
"""So large a part of at least so many packets behind the deadline is an alarm."""

Take = Callable[[Packet], None]


class Witness:
    """Of one pipeline. tell: takes every notice. keep: takes every run's report. folder: that of the node's data."""

    def __init__(
        self,
        config: PipelineConfig,
        ids: Ids,
        tell: Callable[[Notice], None],
        keep: Callable[[str, Report], None],
        folder: Path,
    ) -> None:
        self.config = config
        self.totals = Totals()
        self.shape: tuple[int, int, int] | None = None
        self.last_decision: Decision | None = None
        self.last_report: Report | None = None
        self.recent: deque[Packet] = deque()
        """The source's packets of the last moment."""
        self.event_taps: list[Take] = []
        self.spike_taps: list[Take] = []
        self.outputs: Outputs | None = None
        self._ids, self._tell, self._keep, self._folder = ids, tell, keep, folder
        self.network: Network | None = None
        """What is deployed, or was last."""
        self._windows: Windows | None = None
        self._down: set[AlarmKind] = set()
        self._late = False
        self._judged = (0, 0)
        """Packets late, and all, when the deadline was last looked at."""

    def configure(self, config: PipelineConfig) -> None:
        """Other options, from now on."""
        self.config = config
        self._windows = self._new_windows()

    # what a flow tells

    def opened(self, source: Source) -> None:
        """Source and device are open."""
        self.shape = source.shape
        if self.config.record or self.config.send:
            self.outputs = Outputs(self.config.name, self._folder, self.alarm)
            self.outputs.open(source, self.config.record, self.config.send)
        self.totals.last_in = self.totals.last_out = now()

    def began(self, network: Network) -> None:
        """A run begins."""
        self._judged = (0, 0)
        self.network = network
        self._windows = self._new_windows()
        if self.outputs is not None:
            self.outputs.began(network)
        self.totals.last_out = now()

    def ended(self, report: Report) -> None:
        """A run has ended."""
        self.last_report = report
        self.totals.ended(report)
        self._keep(self.config.name, report)

    def saw(self, packet: Packet) -> Awaitable[None] | None:
        """The source gave a packet."""
        totals = self.totals
        totals.packets += 1
        totals.events += len(packet.data)
        totals.lost += packet.lost
        totals.last_in = now()
        recent = self.recent
        recent.append(packet)
        while len(recent) > 1 and packet.end - recent[0].start > IMAGE:
            recent.popleft()
        if self._down:
            self._back("source lost", "source back")
        for take in self.event_taps:
            self._hand(take, packet, self.event_taps)
        return self.outputs.saw(packet) if self.outputs is not None else None

    def said(self, packet: Packet) -> None:
        """The device gave a packet."""
        totals = self.totals
        totals.answers += 1
        totals.last_out = now()
        if len(packet.data):
            totals.spikes[packet.origin] += len(packet.data)
        if self._down:
            self._back("device stalled", "device back")
        if self._windows is not None:
            self._decide(self._windows, packet)
        for take in self.spike_taps:
            self._hand(take, packet, self.spike_taps)
        if self.outputs is not None:
            self.outputs.said(packet)

    # alarms

    def alarm(self, kind: AlarmKind, text: str) -> None:
        """Tells of something that a person should know."""
        self.totals.alarms += 1
        log.warning("%s: %s", kind, text, extra={"pipeline": self.config.name})
        id, time = self._ids.next(self.config.name, "alarm")
        self._tell(Alarm(id, time, self.config.name, kind, text))

    def blame(self, flow: Flow, error: BaseException) -> None:
        """A flow died of `error`: tells whether source or device was lost."""
        if flow.at == "source" or (flow.feed is not None and flow.feed.error is error):
            self.lost("source", error)
        elif isinstance(error, DeviceError) or flow.at == "device":
            self.lost("device", error)

    def lost(self, culprit: str, error: BaseException) -> None:
        """Tells of a loss, once until it is back."""
        kind: AlarmKind = "source lost" if culprit == "source" else "device stalled"
        if kind not in self._down and not isinstance(error, HOPELESS):
            self._down.add(kind)
            self.alarm(kind, str(error))

    def judge(self, report: Report) -> None:
        """Tells when many packets since the last call were late, once until few are."""
        deadline = report.latency.deadline
        if deadline is None:
            return
        missed, packets = deadline.missed - self._judged[0], deadline.packets - self._judged[1]
        share, least = LATE
        if packets < 0:  # another run
            self._judged = (0, 0)
        elif packets >= least:
            self._judged = (deadline.missed, deadline.packets)
            late = missed > share * packets
            if late and not self._late:
                text = f"{missed:,} of {packets:,} packets were later than {deadline.limit_ms:g} ms"
                self.alarm("deadline", f"{self.config.name}: {text}")
            self._late = late

    def _back(self, kind: AlarmKind, told: AlarmKind) -> None:
        if kind in self._down:
            self._down.discard(kind)
            self.alarm(told, f"{self.config.name}: it is there again")

    def _hand(self, take: Take, packet: Packet, taps: list[Take]) -> None:
        """A tap that fails is gone; the stream goes on."""
        try:
            take(packet)
        except Exception:
            log.exception("a tap failed and is removed", extra={"pipeline": self.config.name})
            taps[:] = [each for each in taps if each is not take]

    def _new_windows(self) -> Windows | None:
        if self.config.decide is None or self.network is None:
            return None
        return Windows(self.network, self.config.decide)

    def _decide(self, windows: Windows, packet: Packet) -> None:
        for verdict in windows.take(packet):
            self.totals.decisions += 1
            id, time = self._ids.next(self.config.name, "decision")
            self.last_decision = Decision(
                id,
                time,
                self.config.name,
                verdict.start,
                verdict.end,
                verdict.winner,
                verdict.label(self.config.labels),
                verdict.counts,
            )
            self._tell(self.last_decision)
