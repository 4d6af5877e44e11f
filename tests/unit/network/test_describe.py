from __future__ import annotations

import nir
import numpy as np

from nrt.network.describe import describe
from nrt.network.lower import from_nir
from tests.nir_graphs import chain, conv2d, cuba, lif


def test_a_description_counts_neurons_weights_operations_and_bytes() -> None:
    pool = nir.SumPool2d(kernel_size=np.array([2, 2]), stride=np.array([2, 2]), padding=np.array([0, 0]))
    flatten = nir.Flatten(input_type={"input": np.array([4, 4, 4])}, start_dim=0, end_dim=-1)
    made = chain(
        conv2d(np.ones((4, 2, 3, 3)), (8, 8), padding=1, bias=np.ones(4)),
        lif((4, 8, 8)),
        pool,
        flatten,
        nir.Linear(np.ones((10, 64))),
        cuba((10,)),
        inputs=(2, 8, 8),
        outputs=(10,),
        check=False,
    )
    text = describe(from_nir(made, dt=1000))
    rows = {layer.name: layer for layer in text.layers}
    assert [(r.name, r.kind, r.shape) for r in text.layers] == [
        ("input", "input", (2, 8, 8)),
        ("b", "LIF", (4, 8, 8)),
        ("f", "CubaLIF", (10,)),
    ]
    assert rows["b"].sources == ("conv 4@3x3 + bias ← input",)
    assert rows["f"].sources == ("dense 10x64, sum pool 2x2 ← b",)
    assert rows["b"].macs == 4 * 8 * 8 * 2 * 9
    assert rows["f"].macs == 4 * 4 * 4 * 4 + 640
    assert (rows["b"].parameters, rows["f"].parameters) == (72 + 256, 640)
    assert (rows["b"].state, rows["f"].state) == (4 * 256, 8 * 10)
    assert (text.neurons, text.macs, text.state) == (266, 4608 + 896, 1024 + 80)
    assert ("dt", "1 ms") in text.choices
    assert ("reset", "hard") in text.choices


def test_a_neurons_equation_reads_as_a_line() -> None:
    def line(like: str) -> str:
        made = chain(lif(tau=0.01, v_leak=0.5), inputs=(1,), outputs=(1,))
        return describe(from_nir(made, like=like, dt=1000, tau="seconds")).layers[1].equation

    assert line("nir") == "v ← 0.9·v + 0.1·x + 0.05; binary spike where v > 1; reset to 0"
    assert line("sinabs").startswith("v ← 0.9048·v + x + 0.04758; count spike where v >= 1; reset by subtr")
    assert line("spyx").endswith("reset by subtraction, output one step later")


def test_a_delayed_projection_says_so_and_costs_memory() -> None:
    made = chain(lif(), nir.Delay(np.array([0.003])), lif(), inputs=(1,), outputs=(1,))
    layers = describe(from_nir(made, dt=1000)).layers
    assert layers[2].sources == ("identity ← a, 3 steps later",)
    assert (layers[2].delay, layers[1].state) == (3, 4 + 12)
