"""The ladder on networks whose trouble is known by construction: it must name it, and its figures must add up."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nrt import registry
from nrt.compare.ladder import Case, walk
from nrt.compare.ladder_load import busiest
from nrt.compare.ladder_measure import distance
from nrt.compare.ladder_result import Ladder, Step
from nrt.compare.ladder_run import Cases, Walked, run
from nrt.compare.recorded import Recorded
from nrt.compare.train import Train
from nrt.device import Rung
from nrt.errors import ConfigError, StreamError, Unsupported
from nrt.network import Encoding, Network, neuron
from nrt.packet import SPIKE, Packet
from nrt.testing.stimulus import events
from tests.unit.compare.ladder_cases import chain, drawn, pixels


def walked(network: Network, on: str, cases: Sequence[Case], *, layers: bool = True) -> Ladder:
    async def within() -> Ladder:
        async with asyncio.timeout(100):
            return await walk(network, on, cases, layers=layers)

    return asyncio.run(within())


def step(ladder: Ladder, name: str) -> Step:
    return next(each for each in ladder.steps if each.name == name)


def added(ladder: Ladder) -> float:
    return math.fsum(each.change.value for each in ladder.steps if each.change is not None)


def ruined() -> Network:
    """Its second layer has one weight, of a neuron that never fires, beside which 8 bits hold none of the others."""
    second = np.zeros((2, 5))
    second[0, :2] = second[1, 2:4] = 0.01
    second[0, 4] = 10.0
    return chain(4, ("kept", np.eye(5, 4), neuron(threshold=1.0)), ("ruined", second, neuron(threshold=0.02)))


def sides(count: int) -> list[Case]:
    """Recordings of the left two or the right two of four pixels; the label says which."""
    random = np.random.default_rng(2)
    return [pixels(f"r{k}", (random.integers(0, 2, 60) + 2 * (k % 2)).tolist(), k % 2) for k in range(count)]


def test_a_layer_that_8_bits_ruin_is_named_with_all_of_the_lost_accuracy() -> None:
    ladder = walked(ruined(), "speck+emu:", sides(8))
    assert ladder.measure == "accuracy"
    assert [ladder.figure(step(ladder, name)) for name in ("float", "weights", "link")] == [1, 0, 0]
    weights = step(ladder, "weights")
    assert weights.share == pytest.approx(1.0)
    assert weights.change is not None
    assert weights.change.sure
    assert (weights.layers[0].layer, weights.layers[0].change.value) == ("ruined", 1.0)
    assert [part.change.value for part in weights.layers[1:]] in ([], [0.0])
    assert [(f.kind, f.layer, f.rung) for f in ladder.findings] == [("silent", "ruined", "weights")]
    causes = {advice.cause: advice.what for advice in ladder.advice}
    assert set(causes) == {"weights of ruined", "silent ruined"}
    assert "silenced" in causes["weights of ruined"] or "round to 0" in causes["weights of ruined"]
    text = str(ladder)
    assert "100% of the whole" in text
    assert "in ruined" in text


def test_a_membrane_that_ends_at_12_bits_is_named_as_saturating() -> None:
    """Inhibition down to -2800 is forgotten at -2048, so that later excitation fires; weights are exact."""
    network = chain(3, ("cells", [[7.0, -7.0, 3.0], [7.0, 0.0, 3.0]], neuron(threshold=1000.0)))
    cases = [pixels(f"r{k}", [1] * 400 + [0] * (436 + k), span=50) for k in range(8)]
    ladder = walked(network, "tinyodin+emu:", cases)
    assert ladder.measure == "rates"
    one_spike_more = 1 / (3 + 4)
    assert {each.name: each.loss for each in ladder.steps} == pytest.approx(
        {"float": 0, "folding": 0, "weights": 0} | dict.fromkeys(("state", "order", "link"), one_spike_more)
    )
    state = step(ladder, "state")
    assert state.share == pytest.approx(1.0)
    assert state.layers[0].layer == "cells"
    (finding,) = ladder.findings
    assert (finding.kind, finding.layer) == ("saturating", "cells")
    assert "-2,048" in finding.what
    assert {each.cause for each in ladder.advice} == {"state of cells", "saturating cells"}


def test_cores_that_drop_what_they_cannot_do_are_named_as_overloaded() -> None:
    """Half a ms for a synaptic operation and a queue of one event: of an event in every ms, most are dropped."""
    network = chain(4, ("first", np.ones((8, 4)), neuron()), ("last", np.ones((2, 8)) / 8, neuron()))
    cases = [pixels(f"r{k}", np.random.default_rng(k).integers(0, 4, 100).tolist()) for k in range(8)]
    ladder = walked(network, "speck+emu:?balancer=yes&synop_ns=500000&fifo=1&lag=0ms", cases)
    link = step(ladder, "link")
    assert link.change is not None
    assert link.change.sure
    assert link.change.value > 0.2
    assert link.alone is None
    assert max(ladder.steps[1:], key=lambda s: 0.0 if s.change is None else s.change.value).name == "link"
    named = {(each.kind, each.layer, each.rung) for each in ladder.findings}
    assert ("overloaded", "first", "link") in named
    assert any(each.cause == "link" for each in ladder.advice)


def test_the_rate_of_synaptic_operations_is_that_of_the_busiest_ten_milliseconds() -> None:
    """Ten events in the first 10 ms and three in the next, eight synapses each; a hidden spike has two more."""
    network = chain(4, ("first", np.ones((8, 4)), neuron()), ("last", np.ones((2, 8)), neuron()))
    case = pixels("r", [0] * 10 + [3, 2, 1] + [-1] * 7)
    assert isinstance(case.source, Recorded)
    fired = np.zeros(3, SPIKE)
    fired["t"], fired["v"] = [500, 12_000, 13_000], [1, 1, 4]
    trains = {"first": Train.of(fired, network["first"], 0, 20, 1_000)}
    assert busiest(network, case.source, trains) == {"first": 80 / 0.01, "last": 10 / 0.01}


def test_events_that_are_one_spike_to_the_network_are_one_to_its_load() -> None:
    network = chain(1, ("first", np.ones((8, 1)), neuron()))
    binary = dataclasses.replace(network, encoding=Encoding("binary", polarity="merge"))
    packet = Packet(events((10, 0, 0, 1), (20, 0, 0, 1), (30, 0, 0, 1)), 0, 10_000, 0, origin="r")
    recorded = Recorded("test:r", (packet,), None, {})
    assert busiest(network, recorded, {}) == {"first": 3 * 8 / 0.01}
    assert busiest(binary, recorded, {}) == {"first": 8 / 0.01}


def test_a_line_whose_losses_the_protocol_repairs_costs_nothing() -> None:
    network = chain(8, ("cells", np.random.default_rng(1).uniform(0.2, 1, (4, 8)), neuron()))
    ladder = walked(network, "tinyodin+emu:?faults=in.lose:0.0003,seed:3", drawn(6, 8), layers=False)
    link = step(ladder, "link")
    assert link.change is not None
    assert (link.change.value, link.change.sure) == (0.0, False)


@pytest.fixture(scope="module")
def kit() -> Ladder:
    """Of a board whose vendor's package is not installed."""
    return walked(ruined(), "speck+samna:", sides(6))


def test_a_device_that_cannot_be_opened_leaves_the_ladder_below_it(kit: Ladder) -> None:
    ladder = kit
    device = ladder.steps[-1]
    assert (device.name, device.change) == ("device", None)
    assert "samna" in device.error
    assert math.isnan(device.loss)
    assert any("ends at the rung 'link'" in note for note in ladder.notes)
    assert ladder.whole.value == 1.0
    assert "not run: " in str(ladder)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), decay=st.sampled_from([1.0, 0.9, 0.5]), labels=st.booleans())
def test_the_changes_add_up_to_the_whole_and_the_interaction_is_what_is_left(
    seed: int, decay: float, labels: bool
) -> None:
    random = np.random.default_rng(seed)
    weights = [random.normal(0.2, 0.5, size) for size in ((5, 6), (3, 5))]
    network = chain(6, ("l1", weights[0], neuron(decay=decay)), ("l2", weights[1], neuron(decay=decay)))
    cases = drawn(3, 6, steps=30, seed=seed)
    cases = [Case(c.name, c.source, int(random.integers(3)) if labels else None) for c in cases]
    ladder = walked(network, "loihi2+sim:", cases)
    assert added(ladder) == pytest.approx(ladder.whole.value, abs=1e-12)
    assert ladder.steps[-1].loss - ladder.steps[0].loss == pytest.approx(ladder.whole.value, abs=1e-12)
    each = [s.alone or s.change for s in ladder.steps]
    alone = math.fsum(change.value for change in each if change is not None)
    assert ladder.interaction is not None
    assert alone == pytest.approx(ladder.whole.value + ladder.interaction, abs=1e-12)
    for s in ladder.steps:
        if s.layers and s.change is not None and s.parts_interaction is not None:
            parts = math.fsum(part.change.value for part in s.layers)
            assert parts - s.parts_interaction == pytest.approx(s.change.value, abs=1e-12)


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.DEVICES, "flaky", registry.Entry("tests.unit.compare.devices:Flaky", ""))


def climbed(on: str, count: int) -> Walked:
    """A rung on a device, without the others."""

    async def within() -> Walked:
        cases = Cases(sides(count))
        async with asyncio.timeout(100):
            await cases.read()
            return await run(Rung("device", ruined(), on, ""), cases)

    return asyncio.run(within())


@pytest.mark.usefixtures("flaky")
def test_a_device_that_is_lost_is_opened_again_and_only_the_recording_under_way_fails() -> None:
    found = climbed("flaky:", 8)
    assert not found.error
    assert [k for k, each in enumerate(found.outcomes) if each.error] == [2, 5]
    assert "went up in smoke" in found.outcomes[2].error


@pytest.mark.usefixtures("flaky")
def test_a_device_that_is_lost_again_and_again_is_given_up() -> None:
    found = climbed("flaky:", 20)
    assert not found.outcomes
    assert found.error.startswith("8 of 20 recordings ran: ")


def test_few_recordings_name_no_cause_however_large_the_difference() -> None:
    ladder = walked(ruined(), "speck+emu:", sides(4))
    assert ladder.whole.value == 1.0
    assert not ladder.whole.sure
    assert all(s.share is None and not (s.change and s.change.sure) for s in ladder.steps)
    assert [advice.cause for advice in ladder.advice] == ["silent ruined"]
    assert "not distinguishable from zero with 4 recording(s)" in str(ladder)


def test_one_recording_has_no_interval() -> None:
    ladder = walked(ruined(), "speck+emu:", sides(1), layers=False)
    assert math.isnan(ladder.whole.low)
    assert "nan" not in str(ladder)


def test_a_ladder_is_kept_as_json(kit: Ladder) -> None:
    text = json.dumps(kit.to_dict(), allow_nan=False)
    again = Ladder.from_dict(json.loads(text))
    assert json.dumps(again.to_dict()) == text
    assert str(again) == str(kit)


def test_recordings_that_cannot_be_read_are_listed_and_the_others_go_on() -> None:
    cases = [Case("gone", "file:gone.aedat4"), Case("endless", "synth:bar?seconds=0"), *drawn(3, 4)]
    ladder = walked(ruined(), "speck+emu:", cases, layers=False)
    assert ladder.recordings == 3
    assert [name for name, _ in ladder.failed] == ["gone", "endless"]
    assert "does not end" in ladder.failed[1][1]
    with pytest.raises(StreamError, match="not one recording can be read; the first, gone"):
        walked(ruined(), "speck+emu:", cases[:2])


def test_outputs_too_large_for_a_report_are_compared_all_the_same() -> None:
    weights = np.random.default_rng(3).uniform(0.05, 0.4, (10_001, 2))
    network = chain(2, ("wide", weights, neuron(decay=0.9)))
    ladder = walked(network, "loihi2+sim:", drawn(2, 2, steps=60), layers=False)
    assert 0 < ladder.whole.value < 0.1


def test_a_readouts_membranes_are_compared_in_the_units_of_the_network() -> None:
    """On Loihi they are whole numbers at a scale of the layer; the rungs before give them back undone."""
    weights = np.random.default_rng(3).normal(0.0, 0.5, (3, 4))
    network = chain(4, ("membrane", weights, neuron(decay=0.9, spikes="none", reset="none")))
    ladder = walked(network, "loihi2+sim:", drawn(2, 4, steps=60))
    assert all(each.loss < 0.05 for each in ladder.steps)
    assert ladder.whole.value > 0


def test_without_recordings_or_rungs_there_is_one_clear_sentence() -> None:
    with pytest.raises(ConfigError, match="at least one recording"):
        walked(ruined(), "speck+emu:", [])
    leaky = chain(4, ("l1", np.eye(4), neuron(decay=0.9)))
    with pytest.raises(ConfigError, match="a label for every recording"):
        asyncio.run(walk(leaky, "loihi2+sim:", drawn(2, 4), measure="accuracy"))
    with pytest.raises(Unsupported, match="decays exponentially"):
        walked(leaky, "speck+emu:", drawn(2, 4))


def test_a_layer_that_was_silent_before_is_no_fault_of_the_device() -> None:
    network = chain(4, ("loud", np.eye(4), neuron()), ("dead", np.eye(2, 4), neuron(threshold=1e4)))
    ladder = walked(network, "loihi2+sim:", drawn(2, 4), layers=False)
    assert ("silent", "dead", "float") in {(f.kind, f.layer, f.rung) for f in ladder.findings}


def test_the_distance_is_that_of_bray_and_curtis() -> None:
    """Their definition: the sum of absolute differences over the sum of everything."""
    first, second = {"out": np.array([6.0, 7.0, 4.0])}, {"out": np.array([10.0, 0.0, 6.0])}
    assert distance(first, second) == pytest.approx((4 + 7 + 2) / (17 + 16))
    assert distance(first, first) == 0
    assert distance({"out": np.zeros(3)}, {"out": np.zeros(3)}) == 0
    assert distance(first, {"out": np.zeros(3)}) == 1
