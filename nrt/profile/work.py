"""What a run asked for in operations and memory words, from the network and what the device counted.

Two ways of computing the same network are reckoned:

* by events: a synaptic operation fetches one weight, adds it to one sum, and reads and writes that sum; a neuron is
  updated once a step, which reads and writes each of its state variables; an event or spike is one word, written and
  read once. This is what an event-driven engine and a chip do.
* dense: every synapse is a multiplication and an addition in every step, spikes or not; every stored weight is read
  once a step (a shared kernel is kept at hand), every input read and every sum written once. This is what a matrix
  product does.

Neuron updates are steps times neurons: what a clocked device does. An engine that skips silent neurons does fewer; a
chip without steps does none that can be counted, and its leak is left out.

An addition suffices for a plain spike. A graded one, several in one step, or a membrane as the input of another layer
is multiplied; events are taken one by one, so input is added.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from nrt.network import Network, Neuron, Projection
from nrt.network.operators import fan
from nrt.profile.counters import Counters

WORD_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class Work:
    """Operations of a run. weights, states, messages: words moved to and from each kind of memory

    missing: projections that the device does not count
    """

    synops: int
    updates: int
    spikes: int
    adds: int
    multiplies: int
    weights: int
    states: int
    messages: int
    missing: tuple[str, ...] = ()


def work(network: Network, counters: Counters, *, dense: bool = False) -> Work:
    """What `counters` of a run of `network` come to."""
    labels = [f"{p.source} → {p.target}" for p in network.projections]
    missing = tuple(dict.fromkeys(label for label in labels if label not in counters.synops))
    adds, multiplies, states = _updates(network, counters.steps)
    messages = counters.events + sum(counters.spikes.values())
    if dense:
        synops = counters.steps * sum(connections(network, p) for p in network.projections)
        traffic = sum(network[p.source].size + network[p.target].size for p in network.projections)
        return Work(
            synops,
            counters.steps * network.neurons,
            messages,
            adds + synops,
            multiplies + synops,
            counters.steps * network.parameters,
            states,
            counters.steps * traffic,
        )
    synops = sum(counters.synops.values())
    graded = sum(
        counters.synops.get(label, 0)
        for label in {
            label for p, label in zip(network.projections, labels, strict=True) if _multiplies(network, p)
        }
    )
    return Work(
        synops,
        counters.steps * network.neurons,
        messages,
        adds + synops,
        multiplies + graded,
        synops,
        states + 2 * synops,
        2 * messages,
        missing,
    )


def connections(network: Network, projection: Projection) -> int:
    """Synapses of a projection."""
    return int(fan(projection.operators, network[projection.source].shape).sum())


def _multiplies(network: Network, projection: Projection) -> bool:
    neuron = network[projection.source].neuron
    return neuron is not None and neuron.spikes != "binary"


def _updates(network: Network, steps: int) -> tuple[int, int, int]:
    """Additions, multiplications and words of state, of all neuron updates and biases."""
    adds = multiplies = states = 0
    for population in network.populations:
        if population.neuron is not None:
            each = _update(population.neuron)
            adds += each[0] * population.size
            multiplies += each[1] * population.size
            states += each[2] * population.size
    adds += sum(p.bias.size for p in network.projections if p.bias is not None)
    return adds * steps, multiplies * steps, states * steps


def _update(neuron: Neuron) -> tuple[int, int, int]:
    """Additions, multiplications and words of state of one update (the equations of `nrt.network.neuron`).

    Comparing with the threshold counts as an addition; the reset, which only follows a spike, is left out. Every state
    variable is read and written; parameters are taken to be at hand.
    """
    synapse = neuron.synapse_decay is not None
    adds = 1 + synapse + bool((neuron.drive != 0).any()) + neuron.fires
    multiplies = 2 * synapse + bool((neuron.decay != 1).any()) + bool((neuron.gain != 1).any())
    return adds, multiplies, 4 if synapse else 2
