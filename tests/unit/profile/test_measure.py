"""The method: windows, idle, what is said of a doubtful meter and what is refused."""

from __future__ import annotations

import pytest

from nrt.errors import ConfigError, DeviceError
from nrt.profile import Energy
from nrt.profile.meters import Channel, Lap, measure
from nrt.profile.meters.measure import Window, figures
from nrt.profile.meters.tally import CounterTally, PowerTally
from tests.unit.profile.meters import Clock, Instrument

EMPTY = Lap(0.0, 0.0, 0)


def lap(joules: float, seconds: float = 1.0, samples: int = 100, **more: float) -> Lap:
    return Lap(joules, seconds, samples, **more)  # type: ignore[arg-type]  # counts are whole in every test


async def run(
    instrument: Instrument, *, each: float = 0.5, windows: int = 2, seconds: float = 0.0, warm_up: int = 1
) -> tuple[Energy, list[float]]:
    """Measures work that takes `each` s; the figure, and when the work ran."""
    clock, ran = Clock(), list[float]()

    async def work() -> None:
        ran.append(clock.now)
        clock.now += each

    (energy,) = await measure(
        [instrument], work, windows=windows, seconds=seconds, warm_up=warm_up, sleep=clock.sleep, clock=clock
    )
    return energy, ran


def script(*laps: Lap) -> list[Lap]:
    """Each behind the lap that begins it."""
    return [each for one in laps for each in (EMPTY, one)]


async def test_gross_idle_and_net_are_kept_apart_and_are_of_one_run() -> None:
    """Idle 4 W before and after; windows of 1 s with two runs each, of 10 and 12 J."""
    instrument = Instrument(script(lap(4.0), lap(10.0), lap(12.0), lap(4.0)))
    energy, ran = await run(instrument)
    assert energy.joules == 5.5
    assert (energy.idle_watts, energy.seconds, energy.net) == (4.0, 0.5, 3.5)
    assert energy.windows == 2
    assert energy.samples == 200
    low, high = energy.interval or (0.0, 0.0)
    assert (low + high) / 2 == pytest.approx(5.5)
    assert (high - low) / 2 == pytest.approx(12.706 * 0.5**0.5 / 2**0.5)
    assert energy.net_interval is not None
    assert "2 to 2 runs in a window; figures are of one run" in energy.notes
    assert len(ran) == 5  # once to warm up, twice in each window
    assert ran[1] == 1.5  # warm-up of 0.5 s, then idle of 1 s
    assert instrument.log == ["open", *["lap"] * 8, "close"]


async def test_idle_that_changed_is_said_and_its_mean_is_taken() -> None:
    energy, _ = await run(Instrument(script(lap(4.0), lap(10.0), lap(10.0), lap(6.0))))
    assert energy.idle_watts == 5.0
    assert "idle was 4 W before and 6 W after" in energy.notes


async def test_windows_last_as_long_as_the_meter_needs_and_as_the_user_asks() -> None:
    _, ran = await run(Instrument(script(*[lap(1.0, 3.0)] * 4), shortest_s=3.0), warm_up=0)
    assert len(ran) == 2 * 6
    _, ran = await run(Instrument(script(*[lap(1.0, 60.0)] * 4)), warm_up=0, seconds=60.0, each=30.0)
    assert len(ran) == 2 * 2


async def test_meters_are_closed_when_the_work_fails() -> None:
    instrument = Instrument(script(lap(1.0), lap(1.0)))

    async def fail() -> None:
        raise RuntimeError("the work")

    with pytest.raises(RuntimeError, match="the work"):
        await measure([instrument], fail)
    assert instrument.log == ["open", "close"]


async def test_without_a_meter_or_a_window_there_is_nothing_to_measure() -> None:
    async def work() -> None:
        pass

    with pytest.raises(ConfigError, match="no meter was named"):
        await measure([], work)
    with pytest.raises(ConfigError, match="there is at least one window"):
        await measure([Instrument([])], work, windows=0)


@pytest.mark.parametrize(
    ("odd", "sentence"),
    [
        (lap(9.0, wraps=2), "the counter began anew at 0 2 times; that is made up for"),
        (lap(9.0, still=1.0), "rail showed one and the same value throughout a window: is the meter stuck"),
        (lap(9.0, still=0.4), "rail showed nothing new for 0.4 s of a window of 1 s: did the meter stall?"),
        (lap(9.0, samples=4), "only 4 samples in a window: too few to trust"),
        (lap(9.0, samples=999, lost=1), "1 samples were lost on the way and taken as the mean of the others"),
    ],
)
async def test_what_is_odd_about_a_meter_is_said_in_the_figure(odd: Lap, sentence: str) -> None:
    good = lap(4.0, samples=1000)
    energy, _ = await run(Instrument(script(good, odd, good, good)))
    assert any(sentence in note for note in energy.notes), energy.notes


async def test_a_count_of_samples_that_does_not_fit_the_time_is_said() -> None:
    instrument = Instrument(
        script(*[lap(4.0, samples=100)] * 2, lap(4.0, samples=70), lap(4.0)),
        rate_hz=100.0,
        samples_counted=True,
    )
    energy, _ = await run(instrument)
    assert "70 samples in a window where 100 were due" in energy.notes
    counter = Instrument(script(*[lap(4.0, samples=70)] * 4), rate_hz=100.0)
    energy, _ = await run(counter)
    assert not any("were due" in note for note in energy.notes)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (lap(9.0, samples=0), "nothing new was read in 1 s: the meter has stalled"),
        (lap(9.0, samples=98, lost=2), "2 of 100 samples were lost in a window; that is no figure"),
        (lap(9.0, 0.4), r"a window of 0.4 s is shorter than this meter needs \(1 s\)"),
    ],
)
async def test_a_meter_that_cannot_be_trusted_gives_no_figure(bad: Lap, sentence: str) -> None:
    good = lap(4.0)
    with pytest.raises(DeviceError, match=sentence):
        await run(Instrument(script(good, good, bad, good)))


def test_channels_of_several_meters_are_figures_of_their_own() -> None:
    first = Instrument([], channels=(Channel("a", "rail a"), Channel("b", "rail b")))
    second = Instrument([], name="other:", instrument="another")
    row = [Window(lap(joules), 1) for joules in (1.0, 2.0, 3.0)]
    found = figures([first, second], [row])
    assert [(e.joules, e.boundary) for e in found] == [(1.0, "rail a"), (2.0, "rail b"), (3.0, "board")]
    assert found[0].interval is None
    assert found[0].idle_watts is None


def test_a_counter_that_goes_back_without_wrapping_is_refused() -> None:
    tally = CounterTally("meter:")
    tally.add(0.0, 10.0)
    with pytest.raises(DeviceError, match="went back from 10 J to 9 J, and it is not one that wraps"):
        tally.add(1.0, 9.0)
    small = CounterTally("meter:", wraps_at=5.0)
    small.add(0.0, 10.0)
    with pytest.raises(DeviceError, match="went back"):
        small.add(1.0, 1.0)


def test_the_longest_time_without_a_change_is_known() -> None:
    tally = CounterTally("meter:")
    for seconds, joules in ((0, 0), (1, 1), (2, 1), (4, 1), (5, 3)):
        tally.add(seconds, joules)
    found = tally.lap()
    assert (found.still, found.samples, found.joules) == (4.0, 2, 3.0)
    tally.add(6, 3)
    assert tally.lap().still == 1.0


def test_power_is_integrated_between_samples_however_uneven_they_come() -> None:
    """A triangle: up from 0 to 4 W in 2 s and down again in 1 s is 6 J."""
    tally = PowerTally("meter:")
    for seconds, watts in ((0.0, 0.0), (0.5, 1.0), (2.0, 4.0), (3.0, 0.0)):
        tally.add(seconds, watts)
    found = tally.lap()
    assert found.joules == pytest.approx(6.0)
    assert (found.seconds, found.samples) == (3.0, 3)
