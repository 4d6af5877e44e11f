"""The method: what a piece of work takes, gross and net of idle, over repeated windows.

1. warm-up: the work runs, unmeasured, so that caches, clocks and kernels are as they will be
2. idle: one window with nothing running, just before
3. windows: in each the work repeats until every meter's shortest window is over; joules are per piece of work
4. idle again, just after; the two are averaged, and a figure says so where they disagree

Gross, idle and net are kept apart: for a chip that is sold for its idle power, subtracting it silently would hide what
matters. After MLPerf Power (arXiv 2410.12032), which also asks for windows of 60 s and more (`seconds=60`), and after
the thermally stable profiling of ml.energy, which repeats windows of 5 s.

What is wrong with a meter is said in the figure, or there is none: `check` refuses a counter that stood still, that
went back, or that lost more than one sample in a hundred.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import fmean
from time import monotonic
from typing import Final

from nrt.errors import ConfigError, DeviceError
from nrt.profile.energy import Energy
from nrt.profile.meters.base import Channel, Lap, Meter
from nrt.profile.meters.interval import interval

WINDOWS: Final = 3
_FEW: Final = 10
"""Samples in a window below which a figure says how few there were."""
_OFF: Final = 0.1
"""Share of samples, or of idle power, by which things may differ before a figure says so."""
_LOST: Final = 0.01
"""Share of samples whose loss a figure survives."""
_STILL: Final = 0.25
"""Share of a window in which a value may stay the same before a figure says so."""
_SHORT: Final = 0.5
"""Share of a meter's shortest window that a lap may fall below it, for both its ends come a little late."""


@dataclass(frozen=True, slots=True)
class Window:
    """One window of one channel. runs: pieces of work in it; 0 when idle"""

    lap: Lap
    runs: int


Sleep = Callable[[float], Awaitable[object]]
Work = Callable[[], Awaitable[object]]
Rounds = Sequence[Sequence[Window]]
"""By meter and channel, in one flat row per window."""


async def measure(
    meters: Sequence[Meter],
    work: Work,
    *,
    windows: int = WINDOWS,
    seconds: float = 0.0,
    warm_up: int = 1,
    sleep: Sleep = asyncio.sleep,
    clock: Callable[[], float] = monotonic,
) -> tuple[Energy, ...]:
    """What `work` takes, a figure for each channel of each meter. Raises ConfigError, DeviceError.

    windows: how often it is measured · seconds: least length of a window, no shorter than the meters need
    warm_up: pieces of work before · sleep, clock: for tests
    """
    if windows < 1 or warm_up < 0:
        raise ConfigError(
            f"{windows} windows after {warm_up} pieces of warm-up: there is at least one window"
        )
    async with opened(meters):
        length = max(seconds, *(meter.shortest_s for meter in meters))
        for _ in range(warm_up):
            await work()
        before = await _idle(meters, length, sleep)
        rounds = [await _window(meters, work, length, clock) for _ in range(windows)]
        after = await _idle(meters, length, sleep)
        return figures(meters, rounds, (before, after))


@asynccontextmanager
async def opened(meters: Sequence[Meter]) -> AsyncGenerator[None]:
    """The meters, open; closed again whatever happens. Raises what opening one does."""
    if not meters:
        raise ConfigError("no meter was named; `nrt meters` lists those of this machine")
    async with AsyncExitStack() as stack:
        for meter in meters:
            stack.push_async_callback(meter.close)
            await meter.open()
        yield


async def laps(meters: Sequence[Meter]) -> list[Lap]:
    """Of every channel of every meter, as nearly at one moment as they can be asked."""
    return [lap for each in await asyncio.gather(*(meter.lap() for meter in meters)) for lap in each]


async def _idle(meters: Sequence[Meter], length: float, sleep: Sleep) -> list[Window]:
    await laps(meters)
    await sleep(length)
    return [Window(lap, 0) for lap in await laps(meters)]


async def _window(
    meters: Sequence[Meter], work: Work, length: float, clock: Callable[[], float]
) -> list[Window]:
    await laps(meters)
    since, runs = clock(), 0
    while not runs or clock() - since < length:
        await work()
        runs += 1
    return [Window(lap, runs) for lap in await laps(meters)]


def figures(meters: Sequence[Meter], rounds: Rounds, idle: Rounds = ()) -> tuple[Energy, ...]:
    """Energies of windows that were taken, one per channel. Raises DeviceError for what is no figure.

    rounds: what was measured, each a row over all channels of all meters · idle: the same with nothing running
    """
    places = [(meter, channel) for meter in meters for channel in meter.channels]
    return tuple(
        _figure(meter, channel, [row[k] for row in rounds], [row[k] for row in idle])
        for k, (meter, channel) in enumerate(places)
    )


def _figure(meter: Meter, channel: Channel, work: Sequence[Window], idle: Sequence[Window]) -> Energy:
    notes = [*meter.notes, *check(meter, channel, [window.lap for window in (*work, *idle)])]
    quiet = [window.lap.joules / window.lap.seconds for window in idle]
    watts = fmean(quiet) if quiet else None
    if watts is not None and max(quiet) - min(quiet) > _OFF * abs(watts):
        notes.append(f"idle was {quiet[0]:.3g} W before and {quiet[-1]:.3g} W after")
    runs = [window.runs for window in work]
    if max(runs) > 1:
        notes.append(f"{min(runs)} to {max(runs)} runs in a window; figures are of one run")
    gross = [window.lap.joules / window.runs for window in work]
    lengths = [window.lap.seconds / window.runs for window in work]
    net = (
        [joules - watts * length for joules, length in zip(gross, lengths, strict=True)]
        if watts is not None
        else []
    )
    return Energy(
        fmean(gross),
        meter.kind,
        f"{meter.instrument}, {channel.name}" if channel.name not in meter.instrument else meter.instrument,
        channel.boundary,
        seconds=fmean(lengths),
        idle_watts=watts,
        windows=len(work),
        interval=interval(gross),
        net_interval=interval(net),
        rate_hz=meter.rate_hz,
        samples=sum(window.lap.samples for window in work),
        notes=tuple(notes),
    )


def check(meter: Meter, channel: Channel, taken: Sequence[Lap]) -> list[str]:
    """What is odd about these laps, a sentence each. Raises DeviceError where they give no figure."""
    notes: list[str] = []
    for lap in taken:
        _refuse(meter, channel, lap)
    wraps, lost = sum(lap.wraps for lap in taken), sum(lap.lost for lap in taken)
    if wraps:
        notes.append(f"the counter began anew at 0 {_times(wraps)}; that is made up for")
    if lost:
        notes.append(f"{lost:,} samples were lost on the way and taken as the mean of the others")
    stillest = max(taken, key=lambda lap: lap.still / lap.seconds)
    if stillest.still >= stillest.seconds:
        notes.append(f"{channel.name} showed one and the same value throughout a window: is the meter stuck?")
    elif stillest.still > _STILL * stillest.seconds:
        notes.append(
            f"{channel.name} showed nothing new for {stillest.still:.3g} s of a window of {stillest.seconds:.3g} s: "
            "did the meter stall?"
        )
    few = min(lap.samples for lap in taken)
    if few < _FEW:
        notes.append(f"only {few} samples in a window: too few to trust")
    if meter.samples_counted:
        due = [meter.rate_hz * lap.seconds for lap in taken]
        off = [(lap.samples + lap.lost, n) for lap, n in zip(taken, due, strict=True)]
        wrong = [each for each in off if abs(each[0] - each[1]) > 1 + _OFF * each[1]]
        if wrong:
            notes.append(f"{wrong[0][0]:,} samples in a window where {wrong[0][1]:,.0f} were due")
    return notes


def _refuse(meter: Meter, channel: Channel, lap: Lap) -> None:
    what = f"{channel.name}: " if len(meter.channels) > 1 else ""
    if lap.seconds < _SHORT * meter.shortest_s:
        raise DeviceError(
            meter.name,
            f"{what}a window of {lap.seconds:.3g} s is shorter than this meter needs ({meter.shortest_s:g} s); "
            "repeat the work in it",
        )
    if not lap.samples:
        raise DeviceError(
            meter.name, f"{what}nothing new was read in {lap.seconds:.3g} s: the meter has stalled"
        )
    if lap.lost > _LOST * (lap.samples + lap.lost):
        raise DeviceError(
            meter.name,
            f"{what}{lap.lost:,} of {lap.samples + lap.lost:,} samples were lost in a window; that is no figure",
        )


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
