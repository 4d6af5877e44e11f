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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from nrt.clock import now
from nrt.daemon.backoff import Backoff, Storm
from nrt.daemon.config import PipelineConfig
from nrt.daemon.ending import ASLEEP, CANCEL, Ending
from nrt.daemon.flow import Ears, Flow
from nrt.daemon.machine import temperature
from nrt.daemon.notice import AlarmKind, Decision, Ids, Json, Notice, State, StateChange
from nrt.daemon.picture import png
from nrt.daemon.stats import Stats
from nrt.daemon.watch import Watch
from nrt.daemon.witness import HOPELESS, Take, Witness
from nrt.device import Placement
from nrt.errors import ConfigError, NrtError
from nrt.network import Network
from nrt.profile import Energy
from nrt.reading import Reading
from nrt.report import Report

log = logging.getLogger("nrt.daemon")

LOOK: Final = 0.25
"""Seconds between two looks at whether packets pass."""
END: Final = 1.5
"""Seconds in which a run may end in order; then it is cancelled."""
METER: Final = 5_000_000_000
"""ns between two looks at the device's energy, the machine's temperature and what missed its deadline."""


class Pipeline:
    """One pipeline of a node. Users have it from `Node.pipelines`; what they want done goes through `Node.command`."""

    def __init__(
        self,
        config: PipelineConfig,
        ids: Ids,
        tell: Callable[[Notice], None],
        keep: Callable[[str, Report], None],
        folder: Path,
    ) -> None:
        """tell: takes every notice, in order. keep: takes every run's report. folder: that of the node's data."""
        self.name = config.name
        self.declared = config
        """As the file has it; `config` is what commands made of that."""
        self.config = config
        self.state = State.stopped
        self.reason = ""
        self.wanted = False
        """Whether it should run."""
        self.witness = Witness(config, ids, tell, keep, folder)
        self._ids, self._tell = ids, tell
        self._flow: Flow | None = None
        self._placement: Placement | None = None
        self._task: asyncio.Task[None] | None = None
        self._asked = asyncio.Event()
        """Set when somebody wants it to end."""
        self._turn = asyncio.Lock()
        self._looked = now()
        self._since = self._metered = 0
        self._storm = Storm()
        self._ending = Ending(self.name)
        self._energy: tuple[Energy, ...] = ()
        self._temperature: float | None = None

    # what others read

    @property
    def alive(self) -> bool:
        """Whether it is supervised, and nothing hangs that only the end of the process would end."""
        if self._ending.hangs:
            return False
        return self._task is None or self._task.done() or now() - self._looked < ASLEEP

    @property
    def network(self) -> Network | None:
        """What is deployed, or was last; None before that."""
        return self.witness.network

    @property
    def placement(self) -> Placement | None:
        """What went where."""
        return self._placement

    @property
    def input_shape(self) -> tuple[int, int, int] | None:
        """(polarities, height, width) of the source, where it is known."""
        return self.witness.shape

    @property
    def last_decision(self) -> Decision | None:
        """The newest."""
        return self.witness.last_decision

    def stats(self) -> Stats:
        """The figures of this moment; takes about a millisecond."""
        totals, flow = self.witness.totals, self._flow
        run = flow.present if flow is not None else None
        report = run.report if run is not None else None
        counts, total_s = totals.latency(report)
        outputs = self.witness.outputs
        return Stats(
            state=self.state,
            reason=self.reason,
            uptime_s=(now() - self._since) / 1e9 if self.state is State.running else 0.0,
            restarts=totals.restarts,
            packets=totals.packets,
            events=totals.events,
            spikes=sum(totals.spikes.values()),
            lost=totals.lost,
            dropped=totals.dropped + (outputs.missed if outputs is not None else 0),
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
        if self.witness.last_report is None:
            raise ConfigError(f"{self.name} has not run yet")
        return self.witness.last_report

    def snapshot(self) -> dict[str, Json]:
        """State, figures, last decision, and the events of the last moment as a PNG picture in base 64."""
        decision = self.last_decision
        return {
            "pipeline": self.name,
            "state": self.state.value,
            "reason": self.reason,
            "stats": self.stats().to_dict(),
            "decision": decision.to_dict() if decision is not None else None,
            "placement": str(self.placement) if self.placement is not None else None,
            "image": png([packet.data for packet in self.witness.recent], self.input_shape),
        }

    def tap_events(self, take: Take) -> Callable[[], None]:
        """Has `take` called with every packet of the source; it must be quick. Returns what ends that."""
        return _tap(self.witness.event_taps, take)

    def tap_spikes(self, take: Take) -> Callable[[], None]:
        """Has `take` called with every packet of the device; it must be quick. Returns what ends that."""
        return _tap(self.witness.spike_taps, take)

    # what commands do

    async def start(self) -> None:
        """Runs from now on; does nothing where it does already."""
        async with self._turn:
            if self._task is None or self._task.done():
                self._launch()

    async def stop(self) -> None:
        """Ends in order and stays stopped. Takes `END` and twice `CANCEL` seconds at most."""
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

    async def deploy(self, path: str | Path, reading: Reading | None = None) -> Placement:
        """Another network, between two packets; no event is lost. It stays until the daemon ends or reloads.

        reading: how its file is to be understood; by default as the one before. Raises what the file, the device
        or the source's shape has against it; then nothing has changed.
        """
        async with self._turn:
            network = await asyncio.to_thread(self._with(Path(path), reading).load_network)
            placement = await self._running().deploy(network)
            self.take_over(
                self._with(Path(path), reading)
            )  # anew: `set` may have changed something else meanwhile
            log.info("deployed %s", path, extra={"pipeline": self.name})
            return placement

    async def run_with(self, path: Path, reading: Reading, why: str) -> None:
        """Runs that network from now on, whatever state the pipeline is in: its device may be what failed.

        Between two packets where that can be, else by a restart.
        """
        try:
            await self.deploy(path, reading)
        except NrtError:
            self.take_over(self._with(path, reading))
            if self.wanted:
                await self.restart(why)

    def _with(self, path: Path, reading: Reading | None) -> PipelineConfig:
        return dataclasses.replace(self.config, network=path, reading=reading or self.config.reading)

    def take_over(self, config: PipelineConfig) -> None:
        """Has the next life begin with `config`."""
        self.config = self.witness.config = config

    def alarm(self, kind: AlarmKind, text: str) -> None:
        """Tells of something that a person should know."""
        self.witness.alarm(kind, text)

    async def set(self, options: Mapping[str, str]) -> None:
        """Changes options (`config.SETTABLE`) until the daemon ends or reloads.

        Raises ConfigError for what cannot be; then nothing has changed. Restarts where a run cannot go on with it.
        """
        changed = self.config.changed(options)
        anew = (changed.uri, changed.deadline) != (self.config.uri, self.config.deadline)
        if anew:
            changed.open_source()
        self.config = changed
        self.witness.configure(changed)
        log.info("set %s", ", ".join(f"{k}={v}" for k, v in options.items()), extra={"pipeline": self.name})
        if anew and self.wanted:
            await self.restart(f"set {', '.join(options)}")

    def _running(self) -> Flow:
        if self._flow is None or self.state is not State.running:
            raise ConfigError(f"{self.name} is {self.state}, not running")
        return self._flow

    def _launch(self) -> None:
        self.wanted = True
        self._asked.clear()
        self._looked = now()
        self._become(State.starting)
        self._task = asyncio.create_task(self._supervise(), name=f"nrt.pipeline {self.name}")

    async def _stop(self, why: str = "") -> None:
        self.wanted = False
        task, self._task = self._task, None
        if task is not None and not task.done():
            self._asked.set()
            await asyncio.wait([task])
        if self.state is not State.stopped:
            self._become(State.stopped, why)

    # supervision

    async def _supervise(self) -> None:
        backoff = Backoff()
        try:
            while await self._once(backoff):
                pass
        except Exception:
            log.exception("the supervision of %s failed", self.name, extra={"pipeline": self.name})
            self._become(State.failed, "its supervision failed; the log says more")

    async def _once(self, backoff: Backoff) -> bool:
        """One life and what follows it; whether another does."""
        began = now()
        if self.state is not State.starting:
            self._become(State.starting)
        error = await self._live()
        if not self.wanted:
            self._become(State.stopped)
            return False
        if error is None and self.config.at_end == "stop":
            self.wanted = False
            self._become(State.stopped, "the source ended")
            return False
        if isinstance(error, HOPELESS):
            self._become(State.failed, str(error))
            self.witness.alarm("failed", f"{self.name} cannot run: {error}")
            return False
        lived = (now() - began) / 1e9
        if error is not None or lived < 1.0:
            await self._pause(backoff.next(lived), error)
        return self.wanted

    async def _live(self) -> BaseException | None:
        """One life: until the source ends, something fails (returned), or somebody asks for its end."""
        witness = self.witness
        ears = Ears(witness.saw, witness.said, witness.opened, self._began, witness.ended)
        flow = self._flow = Flow(self.config, ears)
        task = asyncio.create_task(flow.run(), name="nrt.flow")
        error: BaseException | None = None
        try:
            error = await self._attend(flow, task)
        finally:
            if not task.done():
                await self._ending.end(task, 0.0)
            self._flow = None
            witness.recent.clear()
            await self._close_outputs()
        if error is None and task.done() and not task.cancelled():
            error = task.exception()
            if error is not None and self.wanted:
                witness.blame(flow, error)
        return error

    async def _attend(self, flow: Flow, task: asyncio.Task[None]) -> BaseException | None:
        """Looks at a flow until it ends, is asked to, or passes no packets any more (returned)."""
        watch = Watch(self.config)
        while not task.done():
            asked = asyncio.create_task(self._asked.wait(), name="nrt.asked")
            await asyncio.wait([task, asked], timeout=LOOK, return_when=asyncio.FIRST_COMPLETED)
            asked.cancel()
            self._looked = now()
            if self._asked.is_set():
                self._become(State.stopping)
                flow.end()
                await self._ending.end(task, END)
                return None
            if task.done() or flow.at != "stream" or flow.feed is None:
                continue
            trouble = watch.trouble(self.witness.totals, flow.feed)
            if trouble is not None:
                culprit, error = trouble
                self.witness.lost(culprit, error)
                return error
            if now() - self._metered > METER:
                self._metered = now()
                await self._meter(flow)
        return None

    async def _close_outputs(self) -> None:
        outputs, self.witness.outputs = self.witness.outputs, None
        if outputs is None:
            return
        await self._ending.end(asyncio.create_task(outputs.close(), name="nrt.outputs"), CANCEL)
        self.witness.totals.dropped += outputs.missed

    async def _pause(self, delay: float, error: BaseException | None) -> None:
        self.witness.totals.restarts += 1
        reason = str(error) if error is not None else "the source ended at once"
        if not isinstance(error, NrtError) and error is not None:
            reason = f"{type(error).__name__}: {error}"
            log.error("%s failed", self.name, exc_info=error, extra={"pipeline": self.name})
        self._become(State.backoff, f"{reason}; again in {delay:.1f} s")
        if often := self._storm.restarted():
            self.witness.alarm("restarts", f"{self.name} was {often}")
        until = now() + round(delay * 1e9)
        while (left := until - now()) > 0 and not self._asked.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), min(left / 1e9, 1.0))
            self._looked = now()

    async def _meter(self, flow: Flow) -> None:
        self._temperature = temperature()
        run = flow.present
        if run is None:
            return
        if self.config.deadline is not None:
            self.witness.judge(run.report)
        try:
            async with asyncio.timeout(1.0):
                self._energy = await run.energy()
        except (NrtError, TimeoutError) as error:
            log.debug("no energy: %s", error, extra={"pipeline": self.name})

    def _began(self, network: Network, placement: Placement) -> None:
        self._placement = placement
        self.witness.began(network)
        if self.state is not State.running:
            self._since = now()
            self._become(State.running)

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
