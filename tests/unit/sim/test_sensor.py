"""The sensor's mechanics, one at a time."""

from __future__ import annotations

import dataclasses
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nrt.errors import ConfigError, NotFound
from nrt.packet import EVENT, Records
from nrt_sim.sensors import PRESETS, Parameters, Readout, Sensor
from nrt_sim.sensors.presets import SOURCES

ROOT = Path(__file__).parents[3]


def lit(value: float, shape: tuple[int, int] = (4, 4)) -> np.ndarray:
    return np.full(shape, value, np.float32)


def play(sensor: Sensor, contrasts: list[float], span: int = 1_000) -> Records:
    """Steps of ln(light) relative to 100 lux, the first of which is the picture that it starts with."""
    parts = [
        sensor.step(lit(float(100 * np.exp(c)), sensor.shape), k * span).copy()
        for k, c in enumerate(contrasts)
    ]
    return np.concatenate(parts)


def test_the_first_picture_makes_no_events() -> None:
    assert len(Sensor("davis346").step(lit(100, (260, 346)), 0)) == 0


def test_events_are_event_records_within_their_step_and_in_order() -> None:
    sensor = Sensor(
        dataclasses.replace(PRESETS["davis346"], noise_dark=200.0, noise_bright=200.0), shape=(64, 64)
    )
    sensor.step(lit(5, (64, 64)), 7_000)
    for t in (7_001, 8_000, 9_300, 60_000):
        events, start = sensor.step(lit(5 + t / 1e4, (64, 64)), t), {7_001: 7_000, 8_000: 7_001, 9_300: 8_000}
        assert events.dtype == EVENT
        assert np.all(np.diff(events["t"]) >= 0)
        if len(events):
            assert start.get(t, 9_300) <= events["t"][0]
            assert events["t"][-1] < t


def test_crossings_are_interpolated_within_the_step() -> None:
    """ln(light) rises by 0.7 in 1000 µs: it passes 0.2, 0.4 and 0.6 at 2/7, 4/7 and 6/7 of them."""
    events = play(Sensor(Parameters((1, 1))), [0.0, 0.7])
    assert events["t"].tolist() == [285, 571, 857]


def test_what_a_step_leaves_over_counts_in_the_next() -> None:
    assert len(play(Sensor(Parameters((1, 1))), [0.0, 0.15, 0.3])) == 1
    assert len(play(Sensor(Parameters((1, 1))), [0.0, 0.15, 0.0, 0.15])) == 0


def test_a_pixel_in_reset_is_blind_and_memorises_at_the_end_of_it() -> None:
    """The rise passes 0.2 at 285 µs; at 785 µs, 0.55, the pixel starts anew: 0.75 is never reached."""
    parameters = Parameters((1, 1), refractory=500)
    assert play(Sensor(parameters), [0.0, 0.7])["t"].tolist() == [285]
    assert len(play(Sensor(parameters), [0.0, 0.7, 0.7, 0.7])) == 1
    events = play(Sensor(parameters), [0.0, 0.7, 0.7, 0.76])
    assert events["t"].tolist() == [285, 2_833]  # 0.55 + 0.2 of the rise from 0.70 to 0.76


def test_a_reset_that_ends_in_a_later_step_memorises_there() -> None:
    events = play(Sensor(Parameters((1, 1), refractory=1_500)), [0.0, 0.7, 1.4, 2.1])
    assert events["t"].tolist() == [285, 2_071]  # reset until 1785: 1.25; 1.45 is passed at 2071


def test_light_far_below_the_dark_current_is_seen_linearly() -> None:
    sensor = Sensor(Parameters((1, 1), dark=1_000.0))
    sensor.step(lit(1, (1, 1)), 0)
    assert len(sensor.step(lit(100, (1, 1)), 1_000)) == 0  # ln(1100/1001) = 0.09, where ln(100) is 4.6


def test_a_slow_photoreceptor_follows_late() -> None:
    """After one time constant of 1 ms, 63 % of a step of 1.0: three thresholds of 0.2."""
    hertz = 1e6 / (2 * np.pi * 1_000)
    slow = Parameters((1, 1), bandwidth=hertz, corner=1e-6)
    assert len(play(Sensor(slow), [0.0, 1.0])) == 3


@pytest.mark.parametrize("spans", [[1_000] * 8, [8_000], [3_000, 4_999, 1]])
def test_the_low_pass_does_not_depend_on_how_time_is_cut(spans: list[int]) -> None:
    sensor = Sensor(Parameters((1, 1), on=0.0101, bandwidth=20.0, corner=1e-6))
    sensor.step(lit(100, (1, 1)), 0)
    times = np.cumsum(spans)
    count = sum(len(sensor.step(lit(300, (1, 1)), int(t))) for t in times)
    assert count == int(np.log(3) * (1 - np.exp(-2 * np.pi * 20 * 0.008)) / 0.0101)


def test_the_same_seed_gives_the_same_events_after_a_reset_and_another_seed_others() -> None:
    sensor = Sensor("davis346", shape=(64, 64), seed=3)
    light = [lit(5 + k, (64, 64)) for k in range(20)]

    def run(sensor: Sensor) -> bytes:
        sensor.reset()
        return b"".join(sensor.step(picture, k * 1_000).tobytes() for k, picture in enumerate(light))

    assert run(sensor) == run(sensor) == run(Sensor("davis346", shape=(64, 64), seed=3))
    assert run(sensor) != run(Sensor("davis346", shape=(64, 64), seed=4))


SCRIPT = """
import hashlib, numpy as np
from nrt_sim.scenes import Image, Saccades, texture
from nrt_sim.sensors import Sensor
shape = (90, 101)
sensor = Sensor("davis346", shape=shape, seed=11)
scene = Image(texture((120, 130), 5), shape, path=Saccades(size=8.0, duration=20_000), light=20.0)
light, digest, count = np.empty(shape, np.float32), hashlib.sha256(), 0
for k in range(100):
    scene.frame(k * 1_000, light)
    events = sensor.step(light, k * 1_000)
    digest.update(events.tobytes())
    count += len(events)
print(count, digest.hexdigest())
"""
PINNED = "7970 2de865e39f1b0c0a9aeae2b23a83b40651c938a2bbd22e0680c068db95feb9d9"


def test_the_same_seed_gives_the_same_events_on_every_machine() -> None:
    """A hash may be pinned because nothing here depends on the machine.

    Scene, pixels and noise use IEEE additions, products, quotients, square roots and fused multiply-adds in a fixed
    order, without any function of a C library (nrt_sim.sensors.arithmetic). The number was had on x86-64 with AVX-512.
    """
    out = _python(SCRIPT)
    assert out == PINNED


def test_the_same_seed_gives_the_same_events_on_a_processor_with_narrower_vectors() -> None:
    """Compiled afresh for another processor: LLVM cuts the vectors differently and has no AVX-512."""
    if sys.platform != "linux" or "x86" not in platform.machine():
        pytest.skip("needs an x86-64 machine")
    assert _python(SCRIPT, {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}) == _python(SCRIPT)


def _python(script: str, extra: dict[str, str] | None = None) -> str:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'sim'}"} | (extra or {})
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=110,
    )
    return done.stdout.strip()


def test_more_events_than_fit_at_once_are_all_there() -> None:
    """200 x 200 pixels with 115 events each in one step: the slab grows in the middle of it."""
    sensor = Sensor(Parameters((200, 200), on=0.02, off=0.02))
    sensor.step(lit(1, (200, 200)), 0)
    events = sensor.step(lit(10, (200, 200)), 1_000)
    assert len(events) == 200 * 200 * int(np.log(10) / 0.02)


def test_a_full_fifo_drops_and_counts() -> None:
    """Every event is read out, waits, or was dropped: none is lost without being counted."""
    readout = Readout(event=10_000.0, depth=100)
    sensor = Sensor(Parameters((32, 32), readout=readout))
    sensor.step(lit(100, (32, 32)), 0)
    events = sensor.step(lit(100 * np.exp(0.25), (32, 32)), 1_000)
    counters = sensor.counters
    assert counters["dropped"] > 0
    assert len(events) + counters["waiting"] + counters["dropped"] == 32 * 32
    rest = sensor.step(lit(100 * np.exp(0.25), (32, 32)), 1_000_000)
    assert len(events) + len(rest) + counters["dropped"] == 32 * 32
    assert "waiting" not in sensor.counters


def test_the_bus_reads_no_faster_than_it_can() -> None:
    """1 event per 10 µs: the times of single-event rows are at least that far apart."""
    sensor = Sensor(Parameters((64, 1), mismatch=0.01, readout=Readout(event=10_000.0)), seed=2)
    sensor.step(lit(100, (64, 1)), 0)
    events = sensor.step(lit(100 * np.exp(0.25), (64, 1)), 10_000)
    assert len(events) == 64
    assert np.diff(events["t"]).min() >= 9


def test_events_of_one_row_share_a_grant_and_its_stamp() -> None:
    sensor = Sensor(Parameters((4, 50), readout=Readout(row=1_000.0, event=10.0)))
    sensor.step(lit(100, (4, 50)), 0)
    events = sensor.step(lit(100 * np.exp(0.25), (4, 50)), 1_000)
    assert len(events) == 200
    for y in range(4):
        assert len(np.unique(events["t"][events["y"] == y])) == 1
    assert len(np.unique(events["t"])) == 4


def test_time_stamps_are_rounded_down_to_the_quantum() -> None:
    sensor = Sensor(Parameters((8, 8), mismatch=0.02, readout=Readout(quantum=200)), seed=1)
    sensor.step(lit(100, (8, 8)), 0)
    events = sensor.step(lit(100 * np.exp(0.5), (8, 8)), 2_000)
    assert len(events) > 64
    assert not np.any(events["t"] % 200)


def test_hot_pixels_fire_far_more_than_others() -> None:
    parameters = Parameters((100, 100), hot=0.001, hot_low=100.0, hot_high=100.0)
    sensor, counts = Sensor(parameters, seed=6), np.zeros((100, 100))
    sensor.step(lit(10, (100, 100)), 0)
    for t in range(10_000, 2_000_001, 10_000):
        events = sensor.step(lit(10, (100, 100)), t)
        np.add.at(counts, (events["y"], events["x"]), 1)
    assert np.count_nonzero(counts) == 10
    assert np.all(np.abs(counts[counts > 0] - 200) < 5 * np.sqrt(200))


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_light_that_is_not_positive_and_finite_is_refused_and_changes_nothing(bad: float) -> None:
    sensor, other = Sensor(Parameters((4, 4))), Sensor(Parameters((4, 4)))
    broken = lit(100)
    broken[2, 3] = bad
    for s in (sensor, other):
        s.step(lit(100), 0)
    with pytest.raises(ConfigError, match=r"x=3, y=2 .* must be positive and finite"):
        sensor.step(broken, 1_000)
    assert sensor.step(lit(200), 2_000).tobytes() == other.step(lit(200), 2_000).tobytes()


def test_a_picture_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="cannot change its size"):
        Sensor(Parameters((4, 4))).step(lit(100, (4, 5)), 0)


def test_time_must_advance_and_not_too_far() -> None:
    sensor = Sensor(Parameters((4, 4)))
    sensor.step(lit(100), 1_000)
    for t in (1_000, 0, 10_000_000):
        with pytest.raises(ConfigError, match="time must advance"):
            sensor.step(lit(100), t)


@pytest.mark.parametrize(
    ("field", "value"),
    [("on", 0.0), ("off", 99.0), ("on", float("nan")), ("mismatch", -1.0), ("leak", -0.1), ("hot", 0.9)],
)
def test_absurd_parameters_are_refused_by_name(field: str, value: float) -> None:
    numbers: dict[str, Any] = {field: value}
    with pytest.raises(ConfigError, match=field):
        dataclasses.replace(PRESETS["davis346"], **numbers)


def test_an_unknown_preset_lists_those_there_are() -> None:
    with pytest.raises(NotFound, match="davis346") as caught:
        Sensor("retina")
    assert set(caught.value.known) == set(PRESETS)


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "ideal"])
def test_every_number_of_a_preset_says_where_it_comes_from(name: str) -> None:
    numbers = {field.name for field in dataclasses.fields(Parameters)} - {"readout"}
    numbers |= {f"readout.{field.name}" for field in dataclasses.fields(Readout)}
    assert set(SOURCES[name]) == numbers
    assert all(text.startswith(("cited: ", "assumed")) for text in SOURCES[name].values())


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_sees_what_changes(name: str) -> None:
    """A patch that gets three times brighter: nearly all of its pixels say so, and none of it is OFF first."""
    shape = PRESETS[name].shape
    sensor, light = Sensor(name, seed=1), lit(500, shape)
    sensor.step(light, 0)
    light[40:60, 30:50] *= 3
    seen = np.concatenate([sensor.step(light, t).copy() for t in range(1_000, 20_000, 1_000)])
    patch = seen[(seen["x"] >= 30) & (seen["x"] < 50) & (seen["y"] >= 40) & (seen["y"] < 60)]
    on = patch[patch["p"] == 1]
    assert len(np.unique(on["y"].astype(int) * shape[1] + on["x"])) >= 396
    assert len(on) > 0.95 * len(patch)
