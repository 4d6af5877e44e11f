"""Compiles the kernels of the emulated chips, or loads them where they were compiled before."""

from __future__ import annotations

import asyncio

import numpy as np

from nrt.network import Network, Population, Projection, neuron
from nrt.network.operators import Dense, array
from nrt.registry import Uri
from nrt_sim.chips.loihi2.device import Loihi2Device
from nrt_sim.chips.speck.double import samna
from nrt_sim.chips.tinyodin.board import TinyOdinBoard


def warm() -> None:
    """Leaves every kernel compiled, in this process and in numba's cache on disk."""
    TinyOdinBoard()
    kit = samna()
    info = kit.device.get_unopened_devices()[0]
    kit.device.close_device(kit.device.open_device(info))
    asyncio.run(_loihi())


async def _loihi() -> None:
    network = Network(
        (Population("input", (1,)), Population("output", (1,), neuron())),
        (Projection("input", "output", (Dense(array(np.ones((1, 1)))),)),),
        ("input",),
        ("output",),
    )
    device = Loihi2Device(Uri.parse("loihi2+sim:"))
    await device.open()
    await device.deploy(network)
    await device.close()
