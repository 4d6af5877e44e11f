"""The engines that must agree, by name, for tests that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Final, Literal

from nrt.network import Network
from nrt_sim.engine import Engine

ENGINES: Final[Mapping[str, str]] = {
    "reference": "nrt_sim.reference:ReferenceEngine",
    "cpu": "nrt_sim.cpu.engine:CpuEngine",
    "torch": "nrt_sim.gpu.torch_engine:TorchEngine",
}


def engine(
    name: str, network: Network, watched: Sequence[str], dtype: Literal["float32", "float64"] = "float32"
) -> Engine:
    """The engine of that name for `network`; the reference has float64 whatever `dtype` says."""
    if name == "torch":
        one_thread()
    module, _, class_name = ENGINES[name].partition(":")
    factory: Callable[..., Engine] = getattr(import_module(module), class_name)
    return factory(network, watched) if name == "reference" else factory(network, watched, dtype)


def one_thread() -> None:
    """Keeps torch from spinning on cores that other tests want."""
    import torch

    torch.set_num_threads(1)
