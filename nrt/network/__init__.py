"""Networks: NIR graphs lowered once into frozen populations and projections."""

from __future__ import annotations

from nrt.network.encoding import Encoding
from nrt.network.network import Network, Population, Projection
from nrt.network.neuron import Neuron, neuron
from nrt.network.operators import Conv, Dense, Operator, Pool, Scale
from nrt.network.semantics import Semantics

__all__ = [
    "Conv",
    "Dense",
    "Encoding",
    "Network",
    "Neuron",
    "Operator",
    "Pool",
    "Population",
    "Projection",
    "Scale",
    "Semantics",
    "load",
    "neuron",
]

load = Network.load
"""The network in a NIR file."""
