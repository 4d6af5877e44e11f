"""Every engine equals the reference engine: on any network, any events, cut into calls anyhow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from nrt_sim.reference import ReferenceEngine
from tests.engines import ENGINES, engine
from tests.equal import START, STEPS, assert_same, everything, in_parts
from tests.unit.sim.networks import random_events, random_network, seeds

OTHERS = [name for name in ENGINES if name != "reference"]
quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("name", OTHERS)
@given(seed=seeds)
@settings(quiet, max_examples=120)
def test_every_record_and_counter_is_the_same_where_sums_are_exact(name: str, seed: int) -> None:
    network = random_network(seed, exact=True)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, everything(network))
    other = engine(name, network, everything(network), "float64")
    assert_same(reference.run(events, START, STEPS), in_parts(other, events, seed), 0.0)
    assert other.counters() == reference.counters()


@pytest.mark.parametrize("name", OTHERS)
@given(seed=seeds)
@settings(quiet, max_examples=120)
def test_float32_is_as_exact_where_24_bits_hold_the_sums(name: str, seed: int) -> None:
    network = random_network(seed, exact=True, short=True)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, everything(network))
    other = engine(name, network, everything(network))
    assert_same(reference.run(events, START, STEPS), in_parts(other, events, seed), 0.0)
    assert other.counters() == reference.counters()


@pytest.mark.parametrize("name", OTHERS)
@given(seed=seeds)
@settings(quiet, max_examples=60)
def test_any_numbers_give_the_same_spikes_in_float64_and_membranes_to_a_millionth(
    name: str, seed: int
) -> None:
    network = random_network(seed, exact=False)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, everything(network))
    other = engine(name, network, everything(network), "float64")
    assert_same(reference.run(events, START, STEPS), in_parts(other, events, seed), 1e-6)


@pytest.mark.parametrize("name", OTHERS)
def test_float32_rounding_changes_spikes_in_fewer_than_one_network_in_twenty(name: str) -> None:
    changed = 0
    for seed in range(80):
        network = random_network(seed, exact=False)
        events = random_events(network, seed, STEPS, START)
        firing = [p.name for p in network.populations if p.neuron is not None and p.neuron.fires]
        expected = ReferenceEngine(network, firing).run(events, START, STEPS)
        seen = engine(name, network, firing).run(events, START, STEPS)
        changed += any(not np.array_equal(expected[name], seen[name]) for name in firing)
    assert changed < 4
