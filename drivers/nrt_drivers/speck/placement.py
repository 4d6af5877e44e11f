"""Which layer goes on which core: the cheapest assignment by an exact search over sets of cores.

Nine cores make 512 sets, so every assignment of layers to distinct cores is covered. Cheapest: the layer that takes
the camera's events on a core with parallel computing, the others on the smallest core that holds them, so that
what is large stays free.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import inf

from nrt.errors import Violation
from nrt_drivers.speck.chip import Core, Layer, cores, spec


def place(layers: Sequence[Layer], first: Sequence[str]) -> Mapping[str, int]:
    """Core of each layer; empty if there is no assignment. first: layers that take the input's events."""
    best: dict[int, tuple[float, tuple[int, ...]]] = {0: (0.0, ())}
    for layer in layers:
        grown: dict[int, tuple[float, tuple[int, ...]]] = {}
        for used, (cost, chosen) in best.items():
            for core in cores():
                if used >> core.index & 1 or not layer.fits(core):
                    continue
                total = cost + _cost(core, layer.name in first)
                after = used | 1 << core.index
                if total < grown.get(after, (inf,))[0]:
                    grown[after] = (total, (*chosen, core.index))
        best = grown
    if not best:
        return {}
    _, chosen = min(best.values())
    return {layer.name: core for layer, core in zip(layers, chosen, strict=True)}


def _cost(core: Core, takes_input: bool) -> float:
    parallel = core.index in spec().tables["parallel_cores"].values
    return core.bytes + (1 << 20) * (takes_input != parallel)


def crowded(layers: Sequence[Layer]) -> list[Violation]:
    """Why layers that each fit somewhere do not fit together: the fewest that want fewer cores than they are."""
    for count in range(1, len(layers) + 1):
        for some in combinations(layers, count):
            wanted = {core.index for layer in some for core in cores() if layer.fits(core)}
            if len(wanted) < count:
                names = ", ".join(layer.name for layer in some)
                where = ", ".join(map(str, sorted(wanted)))
                return [
                    Violation(
                        names,
                        f"cores that hold them ({where or 'none'})",
                        count,
                        len(wanted),
                        "make one of them smaller: " + "; ".join(_needs(layer) for layer in some),
                    )
                ]
    return []


def _needs(layer: Layer) -> str:
    return f"{layer.name} takes {layer.kernel_words} kernel and {layer.neuron_words} neuron words"


def reason(layer: Layer, core: int, first: bool) -> str:
    """Why that core, and how full it is."""
    place = cores()[core]
    why = (
        "parallel computing for the input" if first and core in spec().tables["parallel_cores"].values else ""
    )
    kernel = f"kernel memory {layer.kernel_words / place.kernel:.0%}"
    neurons = f"neuron memory {layer.neuron_words / place.neurons:.0%}"
    return ", ".join(filter(None, [kernel, neurons, why]))
