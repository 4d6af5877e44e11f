"""Pipeline: one supervised session. It runs, is watched, and is started again when it fails.

```
stopped ─start→ starting → running ─source ends→ stopped
                   ↑          │ fails
                   └─ backoff ←┘        a mistake that no restart heals: failed
```
Everything here happens on the event loop. One task supervises; commands are carried out one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from nrt.clock import now, readable
from nrt.daemon.backoff import Backoff
from nrt.daemon.config import PipelineConfig
from nrt.daemon.flow import Ears, Flow
from nrt.daemon.machine import temperature
from nrt.daemon.notice import Alarm, AlarmKind, Decision, Ids, Json, Notice, State, StateChange
from nrt.daemon.picture import png
from nrt.daemon.stats import Stats, Totals
from nrt.daemon.watch import Watch
from nrt.daemon.window import Windows
from nrt.device import Energy, Placement
from nrt.errors import ConfigError, DeployError, DeviceError, MissingDependency, NrtError, SpecError
from nrt.network import Network
from nrt.packet import Packet
from nrt.report import Report
from nrt.source import Source

log = logging.getLogger("nrt.daemon")

LOOK: Final = 0.25
"""Seconds between two looks at whether packets pass."""
END: Final = 1.5
"""Seconds in which a run may end in order; then it is cancelled."""
CANCEL: Final = 1.0
"""Seconds in which a cancelled run may close its device; then it is left alone."""
ASLEEP: Final = 10_000_000_000
"""ns without a look after which a pipeline's supervision counts as dead."""
STORM: Final = (5, 120_000_000_000)
"""So many restarts within so many ns are an alarm of their own."""
IMAGE: Final = 33_000
"""µs of stream in the picture of a snapshot."""
METER: Final = 5.0
"""Seconds between two looks at the device's energy and the machine's temperature."""
_HOPELESS: Final = (ConfigError, DeployError, MissingDependency, SpecError)

Take = Callable[[Packet], None]


class Pipeline:
    """One pipeline of a node. Users have it from `Node.pipelines`; what they want done goes through `Node.command`."""

    def __init__(
        self,
        config: PipelineConfig,
        ids: Ids,
        tell: Callable[[Notice], None],
        keep: Callable[[str, Report], None],
    ) -> None:
        """tell: takes every notice, in order. keep: takes every run's report."""
        self.name = config.name
        self.declared = config
        """As the file has it; `config` is what commands made of that."""
        self.config = config
        self.state = State.stopped
        self.reason = ""
        self.network: Network | None = None
        self.placement: Placement | None = None
        self.input_shape: tuple[int, int, int] | None = None
        self.last_decision: Decision | None = None
        self.totals = Totals()
        self._ids, self._tell, self._keep = ids, tell, keep
        self._task: asyncio.Task[None] | None = None
        self._flow: Flow | None = None
        self.wanted = False
        """Whether it should run."""
        self._asked = asyncio.Event()
        self._turn = asyncio.Lock()
        self._looked = now()
        self._since = 0
        self._windows: Windows | None = None
        self._down: set[AlarmKind] = set()
        self._restarts: deque[int] = deque(maxlen=STORM[0])
        self._stormy = 0
        self._recent: deque[Packet] = deque()
        self._event_taps: list[Take] = []
        self._spike_taps: list[Take] = []
        self._left: list[tuple[int, asyncio.Task[None]]] = []
        self._energy: tuple[Energy, ...] = ()
        self._temperature: float | None = None
        self._last_report: Report | None = None

    # what others read

    @property
    def alive(self) -> bool:
        """Whether it is supervised, and nothing hangs that only the end of the process would end."""
        if self._task is None:
            return True
        self._left = [(since, task) for since, task in self._left if not task.done()]
        hanging = any(now() - since > ASLEEP for since, _ in self._left)
        return not self._task.done() and now() - self._looked < ASLEEP and not hanging

    def stats(self) -> Stats:
        """The figures of this moment; takes well under a millisecond."""
        totals, flow = self.totals, self._flow
        run = flow.present if flow is not None else None
        report = run.report if run is not None else None
        counts, total_s = totals.latency(report)
        return Stats(
            state=self.state,
            reason=self.reason,
            uptime_s=(now() - self._since) / 1e9 if self.state is State.running else 0.0,
            restarts=totals.restarts,
            packets=totals.packets,
            events=totals.events,
            spikes=sum(totals.spikes.values()),
            lost=totals.lost,
            dropped=0,
            decisions=totals.decisions,
            alarms=totals.alarms,
            misses=totals.misses(report),
            real_time_factor=report.real_time_factor if report is not None else None,
            spikes_of=dict(totals.spikes),
            queues={"source": flow.feed.waiting} if flow is not None and flow.feed is not None else {},
            counts=dict(report.source_counts) if report is not None else {},
            latency=report.latency if report is not None else None,
            latency_counts=counts,
            latency_sum_s=total_s,
            energy=self._energy,
            temperature=self._temperature,
        )

    def report(self) -> Report:
        """The present run's report so far, or else the last one's. Raises ConfigError where there was none."""
        run = self._flow.present if self._flow is not None else None
        if run is not None:
            return run.report
        if self._last_report is None:
            raise ConfigError(f"{self.name} has not run yet")
        return self._last_report

    def snapshot(self) -> dict[str, Json]:
        """State, figures, last decision, and the events of the last moment as a PNG picture in base 64."""
        decision = self.last_decision
        return {
            "pipeline": self.name,
            "state": self.state,
            "reason": self.reason,
            "stats": self.stats().to_dict(),
            "decision": decision.to_dict() if decision is not None else None,
            "placement": str(self.placement) if self.placement is not None else None,
            "image": png([packet.data for packet in self._recent], self.input_shape),
        }

    def tap_events(self, take: Take) -> Callable[[], None]:
        """Has `take` called with every packet of the source; it must be quick. Returns what ends that."""
        return _tap(self._event_taps, take)

    def tap_spikes(self, take: Take) -> Callable[[], None]:
        """Has `take` called with every packet of the device; it must be quick. Returns what ends that."""
        return _tap(self._spike_taps, take)

    # what commands do

    async def start(self) -> None:
        """Runs from now on; does nothing where it does already."""
        async with self._turn:
            if self._task is None or self._task.done():
                self._launch()

    async def stop(self) -> None:
        """Ends in order and stays stopped. Takes `END` + `CANCEL` seconds at most."""
        async with self._turn:
            await self._stop()

    async def restart(self, why: str) -> None:
        """Stops and starts."""
        async with self._turn:
            log.info("restart: %s", why, extra={"pipeline": self.name})
            await self._stop(why)
            self._launch()

    async def reset(self) -> None:
        """The network's state as after `deploy`; no event is lost. Raises ConfigError where it does not run."""
        async with self._turn:
            await self._running().reset()

    async def deploy(self, path: str | Path) -> Placement:
        """Another network, between two packets; no event is lost. It stays until the daemon ends or reloads.

        Raises what the file, the device or the source's shape has against it; then nothing has changed.
        """
        async with self._turn:
            changed = dataclasses.replace(self.config, network=Path(path))
            network = await asyncio.to_thread(changed.load_network)
            placement = await self._running().deploy(network)
            self.config = changed
            log.info("deployed %s", path, extra={"pipeline": self.name})
            return placement

    async def set(self, options: Mapping[str, str]) -> None:
        """Changes options until the daemon ends or reloads: filter, speed, decide, deadline, labels, silence, stall.

        Raises ConfigError for what cannot be; then nothing has changed. Restarts only where the source must be
        opened anew.
        """
        changed = self.config.changed(options)
        if changed == self.config:
            return
        anew = changed.uri != self.config.uri
        if anew:
            changed.open_source()
        self.config = changed
        self._windows = self._new_windows()
        if anew and self.state is not State.stopped:
            await self.restart(f"set {', '.join(options)}")

    def _launch(self) -> None:
        self.wanted = True
        self._asked.clear()
        self._looked = now()
        self._become(State.starting)
        self._task = asyncio.create_task(self._supervise(), name=f"nrt.pipeline {self.name}")

    def _running(self) -> Flow:
        if self._flow is None or self.state is not State.running:
            raise ConfigError(f"{self.name} is {self.state}, not running")
        return self._flow

    async def _stop(self, why: str = "") -> None:
        task, self._task = self._task, None
        if task is not None and not task.done():
            self.wanted = False
            self._asked.set()
            await asyncio.wait([task])
        if self.state is not State.stopped:
            self._become(State.stopped, why)

    # supervision

    async def _supervise(self) -> None:
        backoff = Backoff()
        try:
            while True:
                began = now()
                if self.state is not State.starting:
                    self._become(State.starting)
                error = await self._live()
                if not self.wanted:
                    self._become(State.stopped)
                    return
                if error is None and self.config.at_end == "stop":
                    self._become(State.stopped, "the source ended")
                    return
                if isinstance(error, _HOPELESS):
                    self._become(State.failed, str(error))
                    self.alarm("failed", f"{self.name} cannot run: {error}")
                    return
                if error is None and now() - began > 1_000_000_000:
                    continue
                await self._pause(backoff.next((now() - began) / 1e9), error)
                if not self.wanted:
                    self._become(State.stopped)
                    return
        except Exception:
            log.exception("the supervision of %s failed", self.name, extra={"pipeline": self.name})
            self._become(State.failed, "its supervision failed; the log says more")
            raise

    async def _live(self) -> BaseException | None:
        """One life: until the source ends, something fails (returned), or somebody asks for its end."""
        flow = self._flow = Flow(
            self.config, Ears(self._saw, self._said, self._opened, self._began, self._ended)
        )
        task = asyncio.create_task(flow.run(), name="nrt.flow")
        watch = Watch(self.config)
        metered = 0
        error: BaseException | None = None
        try:
            while not task.done():
                asked = asyncio.create_task(self._asked.wait(), name="nrt.asked")
                await asyncio.wait([task, asked], timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
                asked.cancel()
                self._looked = now()
                if self._asked.is_set():
                    self._become(State.stopping)
                    flow.end()
                    await self._end(task, END)
                    break
                if flow.at == "stream" and flow.feed is not None:
                    trouble = watch.trouble(self.totals, flow.feed)
                    if trouble is not None:
                        culprit, error = trouble
                        self._lost(culprit, error)
                        await self._end(task, 0.0)
                        break
                    if now() - metered > METER * 1e9:
                        metered = now()
                        await self._meter(flow)
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL)
            raise
        finally:
            self._flow = None
            self._recent.clear()
        if error is None and task.done() and not task.cancelled():
            error = task.exception()
            if error is not None and self.wanted:
                self._blame(flow, error)
        return error

    async def _end(self, task: asyncio.Task[None], patience: float) -> None:
        """Waits for a flow that was asked to end, then cancels it, then leaves it alone."""
        if patience:
            await asyncio.wait([task], timeout=patience)
        if not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL)
        if not task.done():
            self._left.append((now(), task))
            log.error("a run of %s does not end; it is left alone", self.name, extra={"pipeline": self.name})

    async def _pause(self, delay: float, error: BaseException | None) -> None:
        self.totals.restarts += 1
        self._restarts.append(now())
        reason = str(error) if error is not None else "the source ended at once"
        if not isinstance(error, NrtError) and error is not None:
            reason = f"{type(error).__name__}: {error}"
            log.error("%s failed", self.name, exc_info=error, extra={"pipeline": self.name})
        self._become(State.backoff, f"{reason}; again in {delay:.1f} s")
        self._storm()
        until = now() + round(delay * 1e9)
        while (left := until - now()) > 0 and not self._asked.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), min(left / 1e9, 1.0))
            self._looked = now()

    def _storm(self) -> None:
        """An alarm for many restarts in a short time, one for each storm."""
        count, span = STORM
        if len(self._restarts) == count and now() - self._restarts[0] < span:
            if now() - self._stormy > span:
                self.alarm(
                    "restarts", f"{self.name} was restarted {count} times within {readable(span / 1e3)}"
                )
            self._stormy = now()

    def _blame(self, flow: Flow, error: BaseException) -> None:
        """Alarms for what was lost, once for each loss."""
        if flow.at == "source" or (flow.feed is not None and flow.feed.error is error):
            self._lost("source", error)
        elif isinstance(error, DeviceError) or flow.at == "device":
            self._lost("device", error)

    def _lost(self, culprit: str, error: BaseException) -> None:
        kind: AlarmKind = "source lost" if culprit == "source" else "device stalled"
        if kind not in self._down and not isinstance(error, _HOPELESS):
            self._down.add(kind)
            self.alarm(kind, str(error))

    def _back(self, kind: AlarmKind, now_kind: AlarmKind) -> None:
        if kind in self._down:
            self._down.discard(kind)
            self.alarm(now_kind, f"{self.name}: it is there again")

    async def _meter(self, flow: Flow) -> None:
        self._temperature = temperature()
        try:
            async with asyncio.timeout(1.0):
                self._energy = await flow.session.device.energy()
        except (NrtError, TimeoutError) as error:
            log.debug("no energy: %s", error, extra={"pipeline": self.name})

    # what a flow tells

    def _opened(self, source: Source, network: Network) -> None:
        self.input_shape = source.shape
        self.totals.last_in = self.totals.last_out = now()

    def _began(self, network: Network, placement: Placement) -> None:
        self.network, self.placement = network, placement
        self._windows = self._new_windows()
        self.totals.last_out = now()
        if self.state is not State.running:
            self._since = now()
            self._become(State.running)

    def _ended(self, report: Report) -> None:
        self._last_report = report
        self.totals.ended(report)
        self._keep(self.name, report)

    def _saw(self, packet: Packet) -> Awaitable[None] | None:
        totals = self.totals
        totals.packets += 1
        totals.events += len(packet.data)
        totals.lost += packet.lost
        totals.last_in = now()
        recent = self._recent
        recent.append(packet)
        while len(recent) > 1 and packet.end - recent[0].start > IMAGE:
            recent.popleft()
        if self._down:
            self._back("source lost", "source back")
        for take in self._event_taps:
            self._hand(take, packet, self._event_taps)
        return None

    def _said(self, packet: Packet) -> None:
        totals = self.totals
        totals.last_out = now()
        if len(packet.data):
            totals.spikes[packet.origin] += len(packet.data)
        if self._down:
            self._back("device stalled", "device back")
        if self._windows is not None:
            self._decide(self._windows, packet)
        for take in self._spike_taps:
            self._hand(take, packet, self._spike_taps)

    def _hand(self, take: Take, packet: Packet, taps: list[Take]) -> None:
        """A tap that fails is gone; the stream goes on."""
        try:
            take(packet)
        except Exception:
            log.exception("a tap failed and is removed", extra={"pipeline": self.name})
            taps[:] = [each for each in taps if each is not take]

    def _new_windows(self) -> Windows | None:
        if self.config.decide is None or self.network is None:
            return None
        return Windows(self.network, self.config.decide)

    def _decide(self, windows: Windows, packet: Packet) -> None:
        for verdict in windows.take(packet):
            self.totals.decisions += 1
            id, time = self._ids.next(self.name, "decision")
            label = verdict.label(self.config.labels)
            self.last_decision = Decision(
                id, time, self.name, verdict.start, verdict.end, verdict.winner, label, verdict.counts
            )
            self._tell(self.last_decision)

    def alarm(self, kind: AlarmKind, text: str) -> None:
        """Tells of something that a person should know."""
        self.totals.alarms += 1
        log.warning("%s: %s", kind, text, extra={"pipeline": self.name})
        id, time = self._ids.next(self.name, "alarm")
        self._tell(Alarm(id, time, self.name, kind, text))

    def _become(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason
        log.info("%s%s", state, f": {reason}" if reason else "", extra={"pipeline": self.name})
        id, time = self._ids.next(self.name, "state")
        self._tell(StateChange(id, time, self.name, state, reason))


def _tap(taps: list[Take], take: Take) -> Callable[[], None]:
    taps.append(take)

    def end() -> None:
        taps[:] = [each for each in taps if each is not take]

    return end
