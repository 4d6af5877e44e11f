"""What a network is said to need of a device's memory, before anything is laid out, against what is then taken."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np
import pytest
import torch

from nrt.errors import DoesNotFit
from nrt.network import Dense, Network, Population, Projection, neuron
from nrt.packet import SPIKE
from nrt_sim.gpu.cuda_ops import made_with
from nrt_sim.gpu.memory import check, needs
from nrt_sim.gpu.ops import MakeOps
from nrt_sim.gpu.plan import lay_out
from nrt_sim.gpu.simulation import Simulation
from nrt_sim.gpu.torch_ops import torch_ops
from tests.unit.gpu.kernel_shim import built, needs_compiler

SLABS = 2 * 2 * (2**15 * 16 + 2**14)
"""Bytes of two chunks of events, on the host and on the device, with some for what is as small as itself."""


def layers(size: int, delay: int = 0) -> Network:
    """Two layers of `size` neurons, with every kind of state."""
    cell = neuron(decay=0.5, synapse_decay=0.5, timing="delayed", reset="soft")
    return Network(
        (Population("input", (64,)), Population("one", (size,), cell), Population("two", (size,), cell)),
        (
            Projection("input", "one", (Dense(np.full((size, 64), 0.5)),)),
            Projection("one", "two", (), delay),
        ),
        ("input",),
        ("two",),
        name="layers",
    )


def held() -> int:
    """Bytes of all tensors there are."""
    gc.collect()
    tensors = [thing for thing in gc.get_objects() if type(thing) is torch.Tensor]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def kernels() -> MakeOps:
    return made_with(built(), torch.device("cpu"), "sorted")


@pytest.mark.parametrize(("make", "most"), [pytest.param(kernels, 1.5, marks=needs_compiler), (torch_ops, 6)])
@pytest.mark.parametrize(("batch", "span", "delay"), [(1, 1, 0), (3, 1, 2), (2, 3, 0), (1, 4, 2)])
def test_what_is_taken_is_at_most_what_was_said_and_not_much_less(
    make: Callable[[], MakeOps], most: float, batch: int, span: int, delay: int
) -> None:
    """torch takes what watched spikes need only when there are any."""
    network, watched = layers(6000, delay), ("two", "one", "one.v")
    said = sum(needs(network, watched, batch, span, 4).values())
    layout = lay_out(network, watched, np.dtype("float32"))
    before = held()
    simulation = Simulation(layout, make(), batch, span)
    simulation.run([np.empty(0, SPIKE)] * batch, [0] * batch, 2 * span)
    taken = held() - before
    simulation.close()
    assert taken <= said + SLABS
    assert said <= most * taken, "the figure must not turn away what fits"


def test_what_is_watched_is_counted_for_two_chunks() -> None:
    network = layers(1000)
    unwatched = needs(network, (), 1, 1, 4)
    watched = needs(network, ("one", "one.v"), 1, 1, 4)
    assert watched["one"] - unwatched["one"] == 2 * 64 * 1000 * (16 + 4)
    assert watched["two"] == unwatched["two"]


def test_a_network_that_fits_until_it_is_watched_is_told_so_with_both_numbers() -> None:
    network = layers(10_000)
    have = sum(needs(network, (), 1, 1, 4).values())
    check(network, (), 1, 1, 4, have)
    with pytest.raises(DoesNotFit, match="are for what is watched, watch fewer populations") as caught:
        check(network, ("one",), 1, 1, 4, have)
    (violation,) = caught.value.violations
    assert violation.have == have
    assert violation.need == have + 2 * 64 * 10_000 * 16
    assert f"needs {violation.need:,}, the device has {have:,};" in str(caught.value)
