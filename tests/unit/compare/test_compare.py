from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from nrt import formats
from nrt.compare import Comparison, Options, Recording, compare
from nrt.dataset import Sample
from nrt.device import Device
from nrt.errors import ConfigError
from nrt.network import Network, neuron
from nrt.source import Source
from nrt.statistics import mcnemar, wilson
from nrt.testing.stimulus import Script
from tests.unit.compare.devices import (
    DT,
    HIDDEN,
    PIXELS,
    Changed,
    Dying,
    delayed,
    network,
    packets,
    recording,
    silence,
    silenced,
    weighted,
)

Given = Sequence[Sample | Source]


async def compared(
    devices: Sequence[str | Device],
    sources: Given | None = None,
    options: Options | None = None,
    *,
    over: Network | None = None,
) -> Comparison:
    given = [recording(seed) for seed in range(3)] if sources is None else sources
    return await asyncio.wait_for(compare(over or network(), given, devices, options), 60)


def written(path: Path, seed: int) -> Path:
    """A recording in a file."""
    with formats.create(path, "hdf5", (1, 1, PIXELS), spikes=True) as writer:
        for packet in packets(seed):
            writer.write(packet.data)
    return path


async def test_two_simulators_of_the_same_arithmetic_agree_spike_for_spike() -> None:
    result = await compared(["reference:", "cpu:"])
    (pair,) = result.pairs
    assert [each.population for each in pair.populations] == ["hidden", "out"]
    assert all(each.exact and each.first > 20 for each in pair.populations)
    assert pair.divergence is None
    assert not result.failed


@pytest.mark.parametrize("by", [1, 3])
async def test_a_constant_delay_is_found_per_population_and_taken_out(by: int) -> None:
    result = await compared(["reference:", Changed(delayed(by))])
    (pair,) = result.pairs
    assert [each.delay.steps for each in pair.populations] == [by, 2 * by]
    for each in pair.populations:
        assert each.delay.constant
        assert each.delay.us == each.delay.steps * DT
        assert each.exact
        assert each.victor_purpura == 0
        assert each.van_rossum == 0
        assert each.at_zero < each.matched
    assert pair.divergence is None


async def test_a_device_that_is_early_has_a_negative_delay() -> None:
    result = await compared([Changed(delayed(2)), "reference:"])
    assert [each.delay.steps for each in result.pairs[0].populations] == [-2, -4]


async def test_one_weight_that_differs_is_named_with_the_spikes_that_met_it() -> None:
    result = await compared(["reference:", Changed(weighted(0, 3, 1, -8.0))])
    found = result.pairs[0].divergence
    assert found is not None
    assert (found.population, found.neuron, found.where) == ("hidden", 3, (3,))
    assert found.first > found.second
    met = [each for each in found.inputs if each.neuron == 1 and each.source == "input"]
    assert met, "the input neuron whose weight differs is among the spikes before the difference"
    assert all(each.weight == network().projections[0].matrix((1, 1, 6))[3, 1] for each in met)
    assert max(each.t for each in met) <= found.t


async def test_membranes_around_the_difference_show_on_which_device_it_crossed_the_threshold() -> None:
    result = await compared(["reference:", Changed(weighted(0, 3, 1, -8.0))])
    found = result.pairs[0].divergence
    assert found is not None
    ours, theirs = found.membranes
    assert (ours.device, theirs.device) == (0, 1)
    assert found.t in ours.t
    assert ours.t == theirs.t
    assert min(theirs.v) < -1.0 < min(ours.v)


async def test_a_device_without_membranes_is_said_to_show_none() -> None:
    result = await compared(["reference:", Changed(weighted(0, 3, 1, -8.0), membranes=False)])
    found = result.pairs[0].divergence
    assert found is not None
    assert [each.device for each in found.membranes] == [0]
    assert any("keeps its membranes to itself" in note for note in found.notes)


async def test_a_population_that_only_one_device_shows_is_named() -> None:
    result = await compared(["reference:", Changed(shows=[])])
    (pair,) = result.pairs
    assert [each.population for each in pair.populations] == ["out"]
    assert pair.one_sided == {"hidden": "only reference: shows it"}
    assert "hidden" in result.devices[1].unwatched
    workload = result.devices[1].workload
    assert workload is not None
    assert not workload.seen


async def test_membranes_of_a_readout_are_compared_instead_of_spikes() -> None:
    result = await compared(
        ["reference:", Changed(delayed(1)), Changed(weighted(1, 0, 0, 1.0))], over=network(readout=True)
    )
    late, changed = result.pairs
    assert late.agreement("out") is None
    (same,) = late.readouts
    assert (same.delay, same.rms) == (2, 0.0)
    assert same.correlation == pytest.approx(1.0)
    (other,) = changed.readouts
    assert other.rms > 0.01
    assert other.largest > 0
    assert result.recordings[0].agreement == (None, None)
    assert None not in result.recordings[0].answers


async def test_a_silent_device_is_said_to_be_silent_and_where_the_layer_fires() -> None:
    result = await compared(["reference:", Changed(silenced("hidden"))])
    kinds = {(each.kind, each.layer): each.text for each in result.devices[1].concerns}
    assert "it fires on reference:" in kinds["silent", "hidden"]
    hidden = result.pairs[0].agreement("hidden")
    assert hidden is not None
    assert (hidden.second, hidden.f1, hidden.cosine) == (0, 0.0, None)
    assert hidden.victor_purpura == hidden.first


async def test_silence_on_both_devices_is_no_agreement() -> None:
    result = await compared(["reference:", "cpu:"], [silence()])
    (pair,) = result.pairs
    out = pair.agreement("out")
    assert out is not None
    assert (out.f1, out.jaccard, out.cosine) == (None, None, None)
    assert any("nothing can be said" in note for note in pair.notes)
    assert result.recordings[0].answers == (None, None)


async def test_a_layer_whose_neurons_fire_in_every_step_is_said_to_saturate() -> None:
    def driven(network: Network) -> Network:
        first, hidden, out = network.populations
        busy = dataclasses.replace(hidden, neuron=neuron(drive=2.0, threshold=1.0))
        return dataclasses.replace(network, populations=(first, busy, out))

    result = await compared(["reference:", Changed(driven)])
    assert not [each for each in result.devices[0].concerns if each.kind == "saturating"]
    concern = next(each for each in result.devices[1].concerns if each.layer == "hidden")
    assert concern.kind == "saturating"
    assert concern.text.startswith(f"{HIDDEN} of {HIDDEN} neurons")


async def test_devices_that_cannot_run_are_reported_and_the_others_go_on() -> None:
    result = await compared(["nothing:", "reference:", "tinyodin+emu:?leak=refuse", "cpu:"])
    assert [bool(each.error) for each in result.devices] == [True, False, True, False]
    assert [(pair.first, pair.second) for pair in result.pairs] == [(1, 3)]
    assert result.failed
    assert "did not run" in str(result)


async def test_recordings_that_fail_are_listed_and_the_others_are_compared() -> None:
    broken = Script([], ConfigError("the line was cut"))
    result = await compared(
        ["reference:", "cpu:"],
        [recording(1), Sample("/nowhere/lost.aedat4", 1, "lost"), broken, recording(2)],
    )
    assert [bool(each.error) for each in result.recordings] == [False, True, True, False]
    assert "the line was cut" in result.recordings[2].error
    assert result.devices[0].recordings == 2
    assert result.failed
    assert "not read: lost" in str(result)


async def test_a_device_that_is_lost_half_way_is_said_to_be_and_counts_what_it_ran() -> None:
    result = await compared(["reference:", Dying(2)], [recording(seed) for seed in range(4)])
    assert [each.recordings for each in result.devices] == [4, 2]
    assert "went up in smoke" in result.devices[1].error
    assert [bool(any(each.failures)) for each in result.recordings] == [False, False, True, True]
    out = result.pairs[0].agreement("out")
    assert out is not None
    assert out.exact


async def test_answers_are_counted_with_their_interval_and_paired(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{seed}.h5", seed) for seed in range(3)]
    alone = await compared(["reference:"], [Sample(str(path), None, path.name) for path in paths])
    assert alone.devices[0].accuracy is None
    answers = [each.answers[0] for each in alone.recordings]
    labels = [answers[0], answers[1], (answers[2] or 0) + 1]
    samples = [Sample(str(path), label, path.name) for path, label in zip(paths, labels, strict=True)]
    result = await compared(["reference:", Changed(silenced("hidden"))], samples)
    first, second = (each.accuracy for each in result.devices)
    assert first is not None
    assert second is not None
    assert (first.right, first.of, second.right) == (2, 3, 0)
    assert (first.low, first.high) == wilson(2, 3)
    paired = result.pairs[0].paired
    assert paired is not None
    assert (paired.both, paired.only_first, paired.only_second, paired.neither, paired.same) == (
        0,
        2,
        0,
        1,
        0,
    )
    assert paired.p == mcnemar(2, 0)


async def test_recordings_side_by_side_give_what_one_after_the_other_gives() -> None:
    sources = [recording(seed) for seed in range(6)]
    one = await compared(["reference:", Changed(weighted(0, 3, 1, -1.0))], sources)
    many = await compared(
        ["reference:", Changed(weighted(0, 3, 1, -1.0))],
        [recording(seed) for seed in range(6)],
        Options(jobs=3),
    )
    assert many.pairs[0].populations == one.pairs[0].populations
    assert many.pairs[0].divergence == one.pairs[0].divergence
    assert many.recordings == one.recordings
    assert many.rasters == one.rasters


async def test_a_device_that_cannot_be_copied_runs_one_recording_at_a_time_and_says_so() -> None:
    result = await compared(["null:", "tinyodin+emu:"], options=Options(jobs=2))
    assert not result.devices[1].error
    assert any(note.startswith("tinyodin+emu: runs one recording at a time") for note in result.notes)


async def test_the_raster_is_of_the_recording_that_agrees_least() -> None:
    sources = [silence(60), recording(1), recording(2)]
    result = await compared(["reference:", Changed(weighted(0, 3, 1, -8.0))], sources)
    scores = [each.agreement[0] for each in result.recordings]
    assert scores[0] is None
    worst = min(range(1, 3), key=lambda k: (scores[k], k))
    assert {each.recording for each in result.rasters} == {worst}
    hidden, out = result.rasters
    assert (hidden.population, hidden.neurons, hidden.whole) == ("hidden", HIDDEN, True)
    assert hidden.trains[0] is not None
    assert hidden.trains[0] != hidden.trains[1]
    assert out.end == 60 * DT


async def test_what_is_stopped_keeps_what_it_has() -> None:
    stop = asyncio.Event()

    def first(index: int, _: Recording) -> None:
        if index == 1:
            stop.set()

    sources = [recording(seed) for seed in range(5)]
    result = await asyncio.wait_for(
        compare(network(), sources, ["reference:", "cpu:"], done=first, stop=stop), 60
    )
    assert len(result.recordings) == 2
    assert "stopped after 2 of 5 recordings" in result.notes
    assert result.pairs[0].populations[0].exact


async def test_what_does_not_end_needs_a_limit() -> None:
    class Endless(Script):
        finite = False

    endless = Endless([])
    result = await compared(["reference:"], [endless])
    assert "does not end by itself" in result.recordings[0].error


async def test_a_part_of_each_recording_can_be_taken() -> None:
    whole = await compared(["reference:"], [recording()])
    part = await compared(["reference:"], [recording()], Options(limit_us=20_250))
    assert part.recordings[0].seconds == pytest.approx(0.02025)
    assert 0 < part.recordings[0].events < whole.recordings[0].events
    assert part.recordings[0].hash != whole.recordings[0].hash


@pytest.mark.parametrize(
    "options",
    [{"q": -1.0}, {"tolerance": -1}, {"tau_us": 0}, {"jobs": 0}, {"reach": -2}, {"speed": float("nan")}],
)
def test_options_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        Options(**options)  # type: ignore[arg-type]


async def test_nothing_to_compare_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        await compare(network(), [], ["cpu:"])
