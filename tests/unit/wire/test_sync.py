"""A device's clock is mapped within the bounds that the map itself states."""

from __future__ import annotations

import asyncio
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.clock import now
from nrt.errors import ConfigError
from nrt.profile import ClockMap, Probe, Sync
from nrt.registry import Uri
from nrt.wire import Wire, wire
from nrt_sim.serve import PtyDoor, Server
from tests.unit.wire.far import Clock, soon


async def probe(line: Wire) -> Probe:
    sent, answer, received = now(), bytearray(), 0
    await line.write(b"?")
    while len(answer) < 8:
        chunk = await soon(line.read())
        answer += chunk.data
        received = chunk.stamp
    return Probe(sent, int.from_bytes(answer, "little"), received)


async def follow(line: Wire, sync: Sync, bursts: int, pause: float) -> ClockMap:
    for _ in range(bursts):
        sync.add([await probe(line) for _ in range(8)])
        await asyncio.sleep(pause)
    assert sync.map is not None
    return sync.map


def worst(found: ClockMap, clock: Clock, begin: int, end: int) -> float:
    """The largest error of the map between two host times, in ns, a device µs of which is a bit more than one."""
    host = np.linspace(begin, end, 500).astype(np.int64)
    device = np.array([clock.time(int(each)) for each in host], np.int64)
    late = host - found.to_host(device)  # the device's µs began up to 1 µs before
    return float(max(-late.min(), late.max() - 1_001))


@pytest.mark.parametrize(("offset", "skew"), [(123_000_000, 37.0), (-5_000_000_000, -400.0), (1 << 52, 37.0)])
async def test_a_skewed_clock_behind_a_pseudo_terminal_is_mapped_within_the_stated_bounds(
    offset: int, skew: float
) -> None:
    board = Clock(offset=offset if offset >= 0 else 10**13 + offset, skew_ppm=skew)
    with Server(board, PtyDoor()) as served:
        line = wire(Uri.parse(f"test{served.address}"))
        await line.open()
        begin = now()
        found = await follow(line, Sync(), bursts=16, pause=0.06)
        end = now()
        await line.close()
    assert abs(found.drift_ppm - skew) <= found.drift_bound_ppm
    inside = (int(found.to_host(np.array([found.start]))[0]), int(found.to_host(np.array([found.end]))[0]))
    assert begin <= inside[0] + found.uncertainty_ns
    assert inside[1] <= end + found.uncertainty_ns
    assert worst(found, board, *inside) <= found.uncertainty_ns
    assert found.resets == 0


def fitted(bursts: list[list[Probe]], sync: Sync | None = None) -> ClockMap:
    sync = sync or Sync()
    for burst in bursts:
        sync.add(burst)
    assert sync.map is not None
    return sync.map


def simulated(clock: Clock, seed: int, bursts: int = 40, every: int = 500_000_000) -> list[list[Probe]]:
    """Bursts of 8 probes whose questions and answers each take 10 µs and an exponential delay on top."""
    rng, at, out = random.Random(seed), 10**15, list[list[Probe]]()
    for _ in range(bursts):
        burst = list[Probe]()
        for _ in range(8):
            there = at + 10_000 + round(rng.expovariate(1 / 20_000))
            back = there + 10_000 + round(rng.expovariate(1 / 20_000))
            burst.append(Probe(at, clock.time(there), back))
            at = back + 1_000
        out.append(burst)
        at += every
    return out


def test_twenty_seconds_of_probes_give_the_drift_to_a_tenth_of_a_ppm_and_times_to_a_few_µs() -> None:
    clock = Clock(offset=123_000_000, skew_ppm=37.0)
    bursts = simulated(clock, seed=1)
    found = fitted(bursts)
    assert abs(found.drift_ppm - 37) < 0.1 < found.drift_bound_ppm < 10
    assert worst(found, clock, bursts[0][0].sent, bursts[-1][-1].received) < 3_000 < found.uncertainty_ns
    single = bursts[20][0]
    assert abs(found.round_trip_ns) < single.round_trip


@given(
    st.integers(0, 1 << 50),
    st.floats(-900, 900),
    st.lists(
        st.tuples(st.integers(0, 10**7), st.integers(0, 10**6), st.integers(0, 10**6)),
        min_size=1,
        max_size=50,
    ),
)
def test_the_bounds_hold_whatever_the_line_does(
    offset: int, skew: float, steps: list[tuple[int, int, int]]
) -> None:
    clock, sync, at = Clock(offset=10**12 + offset, skew_ppm=skew), Sync(), 10**15
    kept = list[int]()
    for pause, there, back in steps:
        at += pause
        sync.add([Probe(at, clock.time(at + there), at + there + back)])
        kept.append(at + there)
        at += there + back
    found = sync.map
    assert found is not None
    assert found.resets == 0
    assert abs(found.drift_ppm - skew) <= found.drift_bound_ppm + 0.002  # the clock's skew is whole in ppb
    window = kept[-40:]
    rate = 1 + Fraction(round(skew * 1000), 10**9)
    for instant in (window[0], window[-1]):
        true = clock.offset + Fraction(instant) * rate / 1000
        error = (
            found.host
            + (true - found.device) * Fraction(1000) / (1 + Fraction(found.drift_ppm) / 10**6)
            - instant
        )
        assert abs(error) <= found.uncertainty_ns + 2


def test_there_and_back_is_the_same_µs() -> None:
    found = fitted(simulated(Clock(offset=7, skew_ppm=-250.0), seed=2, bursts=5))
    device = np.arange(found.start, found.end, 9_973)
    back = found.to_device(found.to_host(device) + 500)
    assert np.array_equal(back, device)


def test_a_clock_that_was_set_anew_starts_a_new_window() -> None:
    clock, sync = Clock(offset=10**9, skew_ppm=20.0), Sync()
    bursts = simulated(clock, seed=3, bursts=12)
    fitted(bursts[:6], sync)
    rebooted = [[Probe(p.sent, p.device - 3_000_000, p.received) for p in burst] for burst in bursts[6:]]
    found = fitted(rebooted, sync)
    assert (found.resets, found.bursts) == (1, 6)
    assert abs(found.drift_ppm - 20) <= found.drift_bound_ppm
    assert (
        abs(found.offset_us - (10**9 - 3_000_000 + 20e-6 * found.host / 1000)) <= found.uncertainty_ns / 1000
    )


def test_one_burst_is_a_map_without_a_drift() -> None:
    sync = Sync()
    assert sync.map is None
    found = sync.add([Probe(0, 70, 90_000), Probe(100_000, 160, 140_000)])
    assert found is not None
    assert found.round_trip_ns == 40_000
    assert found.drift_ppm == 0
    assert found.drift_bound_ppm >= 1000
    assert found.to_host(np.array([160]))[0] == pytest.approx(119_500, abs=1)
    assert sync.add([]) is found


def test_a_map_says_what_it_knows_and_how_well() -> None:
    text = str(fitted(simulated(Clock(offset=123_000_000, skew_ppm=37.0), seed=1)))
    assert text.startswith("offset +160.000")  # 37 ppm of 10^6 s and 123 s
    assert "drift +37.0" in text
    assert "40 bursts over 19.5 s, shortest round trip 2" in text


def test_probes_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="answered 5 ns before it was sent"):
        Sync().add([Probe(10, 0, 5)])
    with pytest.raises(ConfigError, match="make no sense"):
        Sync(window=0)
