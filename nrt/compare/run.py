"""`compare`: every recording through every device, from the reset state, and what came of it.

A recording is taken from its source once and played to one device after the other; what each made of it is compared
and dropped, so that memory does not grow with the data set. Devices stay open from the first recording to the last.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from nrt import registry, report
from nrt.compare.divergence import encoded
from nrt.compare.lane import Lane, lanes, said
from nrt.compare.pairing import PairTally
from nrt.compare.participant import ParticipantTally, with_concerns
from nrt.compare.raster import rasters
from nrt.compare.recorded import Recorded
from nrt.compare.result import Comparison, Options, Pair, Raster, Recording
from nrt.compare.trace import Trace
from nrt.dataset import Sample
from nrt.device import Device
from nrt.errors import ConfigError
from nrt.network import Network
from nrt.source import Source

Said = Callable[[int, Recording], None]


async def compare(
    network: Network | str | Path,
    sources: Sequence[Sample | Source | str | Path],
    devices: Sequence[str | Device],
    options: Options | None = None,
    *,
    done: Said | None = None,
    stop: asyncio.Event | None = None,
) -> Comparison:
    """Runs `sources` (recordings, source URIs, or the samples of a data set) through `network` on every device.

    The first device that runs is what the others are compared with. done: called with the index and the result of each
    recording · stop: when it is set, no further recording begins. Devices that cannot run the network and recordings
    that fail are in the result. Raises ConfigError, and what reading the network raises.
    """
    if not devices or not sources:
        raise ConfigError("a comparison needs at least one device and one recording")
    if not isinstance(network, Network):
        network = Network.load(network)
    options = options or Options()
    async with lanes(devices, network, options.jobs) as opened:
        comparing = _Comparing(network, opened, options)
        await comparing.over(sources, done, stop or asyncio.Event())
        return await comparing.result(sources)


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """One recording on every device: a trace, or why there is none."""

    recording: Recording
    label: int | None
    recorded: Recorded | None = None
    traces: tuple[Trace | None, ...] = ()


class _Comparing:
    """A comparison under way."""

    def __init__(self, network: Network, opened: Sequence[Lane], options: Options) -> None:
        self._network, self._lanes, self._options = network, opened, options
        self._started = report.timestamp()
        self._participants = [ParticipantTally(lane, network) for lane in opened]
        ready = [k for k, lane in enumerate(opened) if not lane.error]
        self._pairs = [PairTally(ready[0], k, opened, network, options) for k in ready[1:]]
        self._recordings: list[Recording] = []
        self._rasters: tuple[Raster, ...] = ()
        self._worst: float | None = None

    async def over(
        self, sources: Sequence[Sample | Source | str | Path], done: Said | None, stop: asyncio.Event
    ) -> None:
        """All recordings, `jobs` of them side by side; they are added up in their order."""
        waiting: deque[asyncio.Task[_Outcome]] = deque()

        async def add() -> None:
            outcome = await waiting.popleft()
            recording = await asyncio.to_thread(self._add, outcome)
            self._recordings.append(recording)
            if done is not None:
                done(len(self._recordings) - 1, recording)

        async with asyncio.TaskGroup() as group:
            for source in sources:
                if stop.is_set() or all(lane.error for lane in self._lanes):
                    break
                waiting.append(group.create_task(self._run(source)))
                if len(waiting) >= self._options.jobs:
                    await add()
            while waiting:
                await add()

    async def _run(self, source: Sample | Source | str | Path) -> _Outcome:
        """Never raises but when cancelled: what goes wrong is in the outcome."""
        sample = source if isinstance(source, Sample) else None
        given = source.source if isinstance(source, Sample) else source
        uri = given.uri if isinstance(given, Source) else str(given)
        label = None if sample is None else sample.label
        recording = Recording(uri if sample is None else sample.name, uri, label)
        try:
            opened = given if isinstance(given, Source) else registry.source(given)
            recorded = await Recorded.take(opened, self._options.limit_us)
            if recorded.shape is not None and self._network.inputs:
                self._network.encoding.check(recorded.shape, self._network[self._network.inputs[0]].shape)
        except Exception as error:
            return _Outcome(dataclasses.replace(recording, error=said(error)), label)
        recording = dataclasses.replace(
            recording,
            uri=recorded.uri,
            hash=await asyncio.to_thread(recorded.hash),  # other devices may be running
            events=recorded.events,
            seconds=(recorded.end - recorded.start) / 1e6,
        )
        traces: list[Trace | None] = []
        failures: list[str] = []
        for lane in self._lanes:
            try:
                traces.append(await lane.run(recorded, self._options.speed))
                failures.append("")
            except Exception as error:
                traces.append(None)
                failures.append(said(error))
        return _Outcome(
            dataclasses.replace(recording, failures=tuple(failures)), label, recorded, tuple(traces)
        )

    def _add(self, outcome: _Outcome) -> Recording:
        recorded, traces = outcome.recorded, outcome.traces
        if recorded is None:
            return outcome.recording
        network, index = self._network, len(self._recordings)
        steps = recorded.steps(network.semantics.dt)
        inputs = {name: encoded(network, name, recorded) for name in network.inputs}
        for tally, trace in zip(self._participants, traces, strict=True):
            if trace is not None:
                tally.add(trace, inputs, steps, outcome.label)
        agreement: list[float | None] = []
        for pair in self._pairs:
            first, second = traces[pair.first], traces[pair.second]
            if first is None or second is None:
                agreement.append(None)
            else:
                agreement.append(pair.add(index, recorded, first, second, outcome.label))
        self._keep_worst(index, traces, agreement)
        return dataclasses.replace(
            outcome.recording,
            answers=tuple(None if trace is None else trace.report.winner for trace in traces),
            agreement=tuple(agreement),
        )

    def _keep_worst(
        self, index: int, traces: Sequence[Trace | None], agreement: Sequence[float | None]
    ) -> None:
        """Keeps the rasters of the recording in which outputs agree least, the first of equal ones."""
        worst = min((each for each in agreement if each is not None), default=None)
        if not self._rasters or (worst is not None and (self._worst is None or worst < self._worst)):
            self._rasters = rasters(self._network, index, traces)
            self._worst = worst

    async def result(self, sources: Sequence[Sample | Source | str | Path]) -> Comparison:
        """What was found so far."""
        network = self._network
        pairs: list[Pair] = []
        for pair in self._pairs:
            found = await pair.result()
            if found is not None:
                pairs.append(found)
        return Comparison(
            network={"name": network.name, "hash": network.hash, "neurons": str(network.neurons)},
            semantics=dataclasses.asdict(network.semantics),
            encoding=dataclasses.asdict(network.encoding),
            outputs=network.outputs,
            options=self._options,
            started=self._started,
            devices=with_concerns([tally.result() for tally in self._participants]),
            recordings=tuple(self._recordings),
            pairs=tuple(pairs),
            reading=dict(network.loaded),
            rasters=self._rasters,
            notes=tuple(self._notes(len(sources))),
            versions=report.versions(),
            host=report.host(),
        )

    def _notes(self, asked: int) -> list[str]:
        notes = list(self._network.notes)
        if len(self._recordings) < asked:
            notes.append(f"stopped after {len(self._recordings)} of {asked} recordings")
        if any(r.label is not None for r in self._recordings) and len(self._network.outputs) != 1:
            notes.append(
                "the network has no single output to read an answer from: every answer counts as wrong"
            )
        for lane in self._lanes:
            if lane.alone and self._options.jobs > 1:
                notes.append(f"{lane.uri} runs one recording at a time: {lane.alone}")
        if self._options.jobs > 1:
            notes.append(
                f"latency and wall time were taken with {self._options.jobs} recordings side by side"
            )
        return notes
