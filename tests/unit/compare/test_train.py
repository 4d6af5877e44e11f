from __future__ import annotations

import numpy as np

from nrt.compare.train import Train
from nrt.network import Encoding, Population, neuron
from nrt.packet import EVENT, SPIKE, Records

LAYER = Population("layer", (4,), neuron())


def spikes(*rows: tuple[int, int, int]) -> Records:
    return np.array(list(rows), SPIKE)


def test_spikes_of_a_neuron_in_one_step_are_one_entry_with_the_time_of_the_first() -> None:
    train = Train.of(spikes((1_010, 2, 1), (1_020, 0, 1), (1_040, 2, 1), (1_130, 2, 1)), LAYER, 1_000, 3, 100)
    assert train.key.tolist() == [0, 2, 2]
    assert train.step.tolist() == [0, 0, 1]
    assert train.t.tolist() == [20, 10, 130]
    assert train.count.tolist() == [1, 2, 1]


def test_a_payload_is_so_many_spikes_and_a_negative_one_matches_only_negative_ones() -> None:
    train = Train.of(spikes((0, 1, 3), (0, 2, -2)), LAYER, 0, 1, 100)
    assert train.key.tolist() == [1, 2 + 4]
    assert train.count.tolist() == [3, 2]
    assert train.per_neuron().tolist() == [0, 3, 2, 0]


def test_a_graded_spike_is_one_spike_whatever_its_payload() -> None:
    graded = Population("layer", (4,), neuron(spikes="graded"))
    assert Train.of(spikes((0, 1, 900), (0, 2, -7)), graded, 0, 1, 100).count.tolist() == [1, 1]


def test_what_lies_outside_of_the_recording_or_the_population_is_left_out() -> None:
    train = Train.of(spikes((900, 1, 1), (1_000, 9, 1), (1_050, 3, 0), (1_300, 1, 1)), LAYER, 1_000, 3, 100)
    assert train.spikes == 0


def test_payloads_that_claim_more_than_there_is_memory_are_not_expanded() -> None:
    huge = Train.of(spikes((0, 0, 2**31 - 1), (5, 1, 2**31 - 1)), LAYER, 0, 1, 100)
    assert huge.spikes == 2 * (2**31 - 1)
    assert huge.expanded() is None


def test_events_become_input_spikes_as_the_encoding_says() -> None:
    events = np.zeros(4, EVENT)
    events["t"], events["x"], events["p"] = [0, 1, 2, 150], [1, 1, 0, 1], [1, 1, 0, 0]
    inputs = Population("input", (2, 1, 2))
    counted = Train.encoded(events, inputs, Encoding(), 0, 2, 100)
    assert counted.key.tolist() == [0, 1, 3]
    assert counted.count.tolist() == [1, 1, 2]
    binary = Train.encoded(events, inputs, Encoding(values="binary"), 0, 2, 100)
    assert binary.count.tolist() == [1, 1, 1]
    seen_on = Train.encoded(events, Population("input", (1, 1, 2)), Encoding(polarity="on"), 0, 2, 100)
    assert seen_on.count.tolist() == [2]
