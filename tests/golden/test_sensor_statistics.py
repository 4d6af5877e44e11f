"""The simulated sensor against the published behaviour of event pixels, by counting.

Tolerances come from the counts: a Poisson count n has the standard deviation √n, a part p of n pixels √(p(1-p)/n).
Four of these is what a correct model exceeds once in 16 000 times; the seeds are fixed, so it does not flicker.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from nrt_sim.sensors import PRESETS, Parameters, Sensor
from nrt_sim.sensors.statistics import contrast_curve, noise_rate, response

DAVIS = dataclasses.replace(PRESETS["davis346"], readout=None)
SIZE = (128, 128)


@pytest.mark.parametrize("step", [0.15, 0.35, 0.61, 0.99, 1.7])
def test_a_contrast_step_gives_as_many_events_as_thresholds_fit_into_it(step: float) -> None:
    """ESIM's and v2e's definition: floor(|Δ ln I| / θ), for rising and falling light (Rebecq 2018; Hu 2021)."""
    for sign in (1, -1):
        sensor = Sensor(Parameters((8, 8), on=0.2, off=0.2))
        light = np.full((8, 8), 100, np.float32)
        sensor.step(light, 0)
        events = sensor.step((light * np.exp(sign * step)).astype(np.float32), 1_000)
        assert len(events) == 64 * math.floor(step / 0.2)
        assert set(events["p"].tolist()) <= {int(sign > 0)}


def test_threshold_mismatch_makes_the_contrast_curve_a_normal_distribution() -> None:
    """P(event | contrast c) = Φ((c - θ)/σ): the S-curve by which thresholds are measured (Lichtsteiner 2008)."""
    parameters = Parameters(SIZE, on=0.2, off=0.25, mismatch=0.03)
    n = SIZE[0] * SIZE[1]
    for sign, threshold in ((1, 0.2), (-1, 0.25)):
        contrasts = sign * (threshold + 0.03 * np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0]))
        for contrast, found in zip(contrasts, contrast_curve(parameters, contrasts, seed=3), strict=True):
            expected = 0.5 * (1 + math.erf((abs(contrast) - threshold) / 0.03 / math.sqrt(2)))
            assert abs(found - expected) < 4 * math.sqrt(expected * (1 - expected) / n)


@pytest.mark.parametrize("lux", [0.1, 1.0, 5.0, 50.0, 1_000.0])
def test_shot_noise_falls_with_light_as_the_parameters_say(lux: float) -> None:
    """Without leak and hot pixels, all pixels alike: bright + (dark - bright)/(1 + I/corner), a Poisson count."""
    parameters = Parameters(SIZE, noise_dark=10.0, noise_bright=0.5, noise_corner=5.0)
    seconds = 2.0
    expected = (0.5 + 9.5 / (1 + lux / 5.0)) * SIZE[0] * SIZE[1] * seconds
    found = noise_rate(parameters, lux, seconds, seed=5) * SIZE[0] * SIZE[1] * seconds
    assert abs(found - expected) < 4 * math.sqrt(expected)


def test_shot_noise_of_a_pixel_is_poisson() -> None:
    """Variance equals mean over pixels of one rate; the variance of a variance of n Poisson counts is about 2m²/n."""
    sensor = Sensor(Parameters(SIZE, noise_dark=10.0, noise_bright=10.0), seed=2)
    light = np.full(SIZE, 10, np.float32)
    counts = np.zeros(SIZE)
    sensor.step(light, 0)
    for k in range(1, 41):
        events = sensor.step(light, k * 20_000)
        np.add.at(counts, (events["y"], events["x"]), 1)
    mean, n = 8.0, counts.size
    assert abs(counts.mean() - mean) < 4 * math.sqrt(mean / n)
    assert abs(counts.var() - mean) < 4 * math.sqrt((mean + 2 * mean**2) / n)


def test_a_davis346_is_noisy_in_the_dark_and_leaks_in_the_light_as_published() -> None:
    """DND21 measured about 10 Hz of shot noise in dim light and 0.2 Hz of leak in bright light, per pixel.

    The published figures have one digit and mismatch and hot pixels add to them: within a factor of 1.5.
    """
    dark = noise_rate(dataclasses.replace(DAVIS, hot=0.0), 0.1, 1.0, seed=1, shape=SIZE)
    bright = noise_rate(dataclasses.replace(DAVIS, hot=0.0), 1_000.0, 5.0, seed=1, shape=SIZE)
    assert 10 / 1.5 < dark < 10 * 1.5
    assert 0.2 / 1.5 < bright < 0.2 * 1.5


def test_leak_events_are_on_events_at_the_given_rate() -> None:
    """A pixel in constant light leaks through its ON threshold `leak` times per second, from a random phase.

    The count of a pixel in T seconds is floor(T·rate + U): mean T·rate, variance at most 1/4.
    """
    sensor = Sensor(Parameters(SIZE, leak=2.0, mismatch=0.03), seed=4)
    light, count, seconds = np.full(SIZE, 100, np.float32), 0, 3.0
    sensor.step(light, 0)
    for k in range(1, 301):
        events = sensor.step(light, k * 10_000)
        count += len(events)
        assert events["p"].all()
    pixels = SIZE[0] * SIZE[1]
    assert abs(count - 2.0 * seconds * pixels) < 4 * math.sqrt(pixels / 4) + 1e-4 * count


@pytest.mark.parametrize("lux", [3.0, 30.0, 300.0, 3_000.0])
def test_the_response_to_flicker_is_3_db_down_at_the_bandwidth_of_that_light(lux: float) -> None:
    """First order: amplitude 1/√(1 + (f/f0)²), f0 = bandwidth·x/(1 + x), x = I/corner (Lichtsteiner 2008, III-A).

    The amplitude is read from the events of a fine threshold, 0.01 in a swing of 2·0.4: it is known to ± 0.02, and
    the step in time of 1/200 period adds 1 %.
    """
    parameters = Parameters((4, 4), on=0.01, off=0.01, bandwidth=1_000.0, corner=300.0)
    f0 = 1_000.0 * (lux / 300.0) / (1 + lux / 300.0)
    for ratio in (0.1, 1.0, 4.0):
        found = response(parameters, lux, ratio * f0, depth=0.4)
        assert found == pytest.approx(1 / math.sqrt(1 + ratio**2), abs=0.05)


def test_the_same_seed_gives_the_same_noise_however_time_is_cut() -> None:
    parameters = Parameters(SIZE, noise_dark=10.0, noise_bright=10.0, hot=0.001)
    streams = []
    for span in (500, 4_000):
        sensor, light = Sensor(parameters, seed=9), np.full(SIZE, 10, np.float32)
        sensor.step(light, 0)
        streams.append(np.concatenate([sensor.step(light, t).copy() for t in range(span, 40_001, span)]))
    assert len(streams[0]) > 4_000
    a, b = ({(int(e["t"]) // 2, int(e["x"]), int(e["y"])) for e in stream} for stream in streams)
    assert len(a ^ b) < 0.01 * len(a)  # a time on the edge of a µs may be rounded to either side
