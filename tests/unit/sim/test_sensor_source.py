"""`synth:` as a source: packets, pacing, losses, and the closed loop."""

from __future__ import annotations

import numpy as np
import pytest

from nrt import registry
from nrt.clock import now
from nrt.errors import ConfigError, NotFound
from nrt.packet import Packet
from nrt.registry import Uri
from nrt_sim.scenes import Disc, Image, MovingBar, Reactions, Steerable, texture
from nrt_sim.sensors import PRESETS, Parameters, Readout, Sensor
from nrt_sim.sensors.source import SensorSource, SynthSource, presets, scenes


def synth(text: str) -> SynthSource:
    uri = Uri.parse(text)
    options = {
        name: registry.convert(
            name, value, {"sensor": str, "seed": int, "width": int, "height": int}.get(name, float)
        )
        for name, value in uri.options.items()
    }
    return SynthSource(uri, **options)


async def collect(source: SensorSource) -> list[Packet]:
    await source.open()
    try:
        return [packet async for packet in source.packets()]
    finally:
        await source.close()


async def test_packets_follow_each_other_without_gaps_and_hold_their_events() -> None:
    source = synth("synth:bar?sensor=davis346&width=64&height=48&seconds=0.1&speed=0&velocity=400")
    packets = await collect(source)
    assert source.shape == (2, 48, 64)
    assert source.finite
    assert not source.scheduled
    assert [packet.start for packet in packets] == list(range(0, 100_000, 1_000))
    assert sum(map(len, packets)) > 100
    for packet in packets:
        t = packet.data["t"]
        assert packet.end == packet.start + 1_000
        assert np.all((t >= packet.start) & (t < packet.end))
        assert packet.data["x"].max(initial=0) < 64
        assert packet.data["y"].max(initial=0) < 48
    assert source.truth(50_000)[0].label == "right"


async def test_a_source_gives_the_same_events_every_time_it_is_read() -> None:
    source = synth("synth:saccades?width=40&height=40&seconds=0.05&speed=0&seed=5")
    first, again = await collect(source), await collect(source)
    other = await collect(synth("synth:saccades?width=40&height=40&seconds=0.05&speed=0&seed=6"))
    assert [p.data.tobytes() for p in first] == [p.data.tobytes() for p in again]
    assert [p.data.tobytes() for p in first] != [p.data.tobytes() for p in other]


async def test_the_rate_is_free_and_what_is_seen_hardly_depends_on_it() -> None:
    """An ideal sensor before a moving texture: the same light is sampled, interpolated in between."""
    counts = []
    for rate in (500, 2_000):
        source = synth(f"synth:bar?sensor=ideal&seconds=0.2&speed=0&rate={rate}")
        counts.append(sum(map(len, await collect(source))))
    assert counts[0] == pytest.approx(counts[1], rel=0.02)


async def test_a_paced_source_stamps_packets_with_the_time_they_were_due() -> None:
    source = synth("synth:uniform?sensor=speck&seconds=0.05&speed=1")
    assert source.scheduled
    begin = now()
    packets = await collect(source)
    stamps = [packet.stamp for packet in packets]
    assert set(np.diff(stamps)) == {1_000_000}
    assert now() - begin > 49_000_000
    assert begin < stamps[0]


async def test_what_the_readout_drops_is_in_the_packets_and_in_the_counters() -> None:
    parameters = Parameters((32, 32), readout=Readout(event=2_000.0, depth=50))
    bar = MovingBar((32, 32), speed=2_000.0)
    source = SensorSource(bar, Sensor(parameters), seconds=0.05, speed=0)
    packets = await collect(source)
    assert source.counters()["dropped"] > 0
    assert sum(packet.lost for packet in packets) == source.counters()["dropped"]


async def test_steering_the_gaze_while_it_runs_causes_events_within_a_step() -> None:
    """The time from the command to the first event: simulated less than a step and the refractory period."""
    gaze = Steerable(0.0, 0.0, speed=5_000.0)
    shape = (64, 64)
    scene = Image(texture((80, 80), 3), shape, path=gaze, light=500.0)
    source = SensorSource(scene, Sensor(Parameters(shape)), seconds=0.0, rate=500.0)
    reactions, quiet = Reactions(gaze), 0
    assert not source.finite
    await source.open()
    try:
        count = 0
        async for packet in source.packets():
            reactions.saw(packet)
            count += 1
            if not reactions.results and count <= 10:
                quiet += len(packet)
            if count == 10:
                gaze.steer(8.0, 0.0)
            if count == 60:
                gaze.steer(0.0, 0.0)
            if len(reactions.results) == 2 or count > 2_000:
                break
    finally:
        await source.close()
    assert quiet == 0
    assert len(reactions.results) == 2
    for reaction in reactions.results:
        assert 0 <= reaction.simulated_us < 2_000
        assert reaction.host_ns > 0


async def test_moving_an_object_while_it_runs_shows_in_the_truth() -> None:
    path = Steerable(10.0, 10.0)
    source = SensorSource(Disc((32, 32), path), Sensor(Parameters((32, 32))), seconds=0.03, speed=0)
    path.steer(20.0, 12.0)
    packets = await collect(source)
    (truth,) = source.truth(30_000)
    assert (truth.x, truth.y) == (20.0, 12.0)
    assert sum(map(len, packets)) > 0


def test_scenes_and_presets_are_listed() -> None:
    assert {
        "bar",
        "grating",
        "dot",
        "looming",
        "dots",
        "saccades",
        "objects",
        "video",
        "image",
        "webcam",
    } <= set(scenes())
    assert set(presets()) == set(PRESETS)
    assert presets()["davis346"].startswith("346x260 pixels")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("synth:opera", NotFound),
        ("synth:bar?sensor=retina", NotFound),
        ("synth:bar?rate=0", ConfigError),
        ("synth:bar?speed=-1", ConfigError),
        ("synth:bar?seconds=nan", ConfigError),
        ("synth:bar?light=0", ConfigError),
        ("synth:bar?contrast=1", ConfigError),
        ("synth:bar?width=100000", ConfigError),
    ],
)
def test_impossible_uris_are_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        synth(text)


def test_a_scene_and_a_sensor_of_different_shapes_do_not_fit() -> None:
    with pytest.raises(ConfigError, match="before a sensor"):
        SensorSource(MovingBar((4, 4)), Sensor(Parameters((5, 5))))
