"""The CPU engine equals the reference engine: on any network, any events, cut into calls anyhow."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from hypothesis import HealthCheck, given, settings

from nrt.network import Network
from nrt.packet import Records
from nrt_sim.cpu.engine import CpuEngine
from nrt_sim.engine import Engine
from nrt_sim.reference import ReferenceEngine
from tests.unit.sim.networks import DT, random_events, random_network, seeds

STEPS = 8
START = 1000
quiet = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def _everything(network: Network) -> tuple[str, ...]:
    names = [p.name for p in network.populations]
    return (*names, *(f"{p.name}.v" for p in network.populations if p.neuron is not None))


def _in_parts(engine: Engine, events: Records, seed: int) -> Mapping[str, Records]:
    """The records of STEPS steps, computed in calls of random lengths."""
    random = np.random.default_rng(seed)
    parts: list[Mapping[str, Records]] = []
    done = 0
    while done < STEPS:
        steps = int(random.integers(0, STEPS - done + 1))
        low, high = np.searchsorted(events["t"], [START + done * DT, START + (done + steps) * DT])
        parts.append(engine.run(events[low:high], START + done * DT, steps))
        done += steps
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _assert_same(expected: Mapping[str, Records], seen: Mapping[str, Records], tolerance: float) -> None:
    """The same records in the same order; payloads and membranes within a relative `tolerance`."""
    assert expected.keys() == seen.keys()
    for name, records in expected.items():
        assert records.dtype == seen[name].dtype
        np.testing.assert_array_equal(seen[name]["t"], records["t"], f"{name} t")
        np.testing.assert_array_equal(seen[name]["n"], records["n"], f"{name} n")
        np.testing.assert_allclose(seen[name]["v"], records["v"], tolerance, tolerance / 1000, err_msg=name)


@given(seeds)
@settings(quiet, max_examples=120)
def test_every_record_and_counter_is_the_same_where_sums_are_exact(seed: int) -> None:
    network = random_network(seed, exact=True)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, _everything(network))
    cpu = CpuEngine(network, _everything(network), "float64")
    _assert_same(reference.run(events, START, STEPS), _in_parts(cpu, events, seed), 0.0)
    assert cpu.counters() == reference.counters()


@given(seeds)
@settings(quiet, max_examples=120)
def test_float32_is_as_exact_where_24_bits_hold_the_sums(seed: int) -> None:
    network = random_network(seed, exact=True, short=True)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, _everything(network))
    cpu = CpuEngine(network, _everything(network))
    _assert_same(reference.run(events, START, STEPS), _in_parts(cpu, events, seed), 0.0)
    assert cpu.counters() == reference.counters()


@given(seeds)
@settings(quiet, max_examples=60)
def test_any_numbers_give_the_same_spikes_in_float64_and_membranes_to_a_millionth(seed: int) -> None:
    network = random_network(seed, exact=False)
    events = random_events(network, seed, STEPS, START)
    reference = ReferenceEngine(network, _everything(network))
    cpu = CpuEngine(network, _everything(network), "float64")
    _assert_same(reference.run(events, START, STEPS), _in_parts(cpu, events, seed), 1e-6)


def test_float32_rounding_changes_spikes_in_fewer_than_one_network_in_twenty() -> None:
    changed = 0
    for seed in range(80):
        network = random_network(seed, exact=False)
        events = random_events(network, seed, STEPS, START)
        firing = [p.name for p in network.populations if p.neuron is not None and p.neuron.fires]
        expected = ReferenceEngine(network, firing).run(events, START, STEPS)
        seen = CpuEngine(network, firing).run(events, START, STEPS)
        changed += any(not np.array_equal(expected[name], seen[name]) for name in firing)
    assert changed < 4
