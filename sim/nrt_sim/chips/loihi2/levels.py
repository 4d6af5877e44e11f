"""When spikes arrive on the chip: never in the step in which they are sent.

So every population runs some steps behind the network's own time, its level, and delays are set so that whatever
meets at a population still meets.
"""

from __future__ import annotations

from collections.abc import Mapping

from nrt.network import Network, Projection
from nrt.network.operators import Scale


def levels(network: Network) -> dict[str, int]:
    """Steps that each population runs behind: the fewest at which every forward spike takes one step or more."""
    order = {p.name: k for k, p in enumerate(network.populations)}
    level = dict.fromkeys(order, 0)
    for population in network.populations:
        for p in network.into(population.name):
            if order[p.source] < order[p.target] and not by_host(network, p):
                level[p.target] = max(level[p.target], level[p.source] + 1 - p.delay)
    return level


def by_host(network: Network, projection: Projection) -> bool:
    """Whether the host writes the input into the biases, as netx does for an input layer with neurons.

    So it is where each input only drives its own neuron, which has no synaptic current.
    """
    neuron = network[projection.target].neuron
    return (
        projection.source in network.inputs
        and projection.delay == 0
        and neuron is not None
        and neuron.synapse_decay is None
        and all(isinstance(o, Scale) and not o.factor.ndim for o in projection.operators)
    )


def delay(network: Network, projection: Projection, level: Mapping[str, int]) -> tuple[int, str]:
    """Steps that a spike takes on the chip, and a sentence where that is more than the network asks for."""
    if by_host(network, projection):
        return 0, f"the host writes the input into the biases of {projection.target}, so that it acts at once"
    wanted = projection.delay + level[projection.target] - level[projection.source]
    if wanted >= 1:
        return wanted, ""
    return 1, (
        f"{projection.source} → {projection.target} arrives {1 - wanted} step(s) later than in the network: "
        "a loop has as many steps as neurons on it"
    )
