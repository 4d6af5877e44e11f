"""The benchmark next to C++: what it prints without yardsticks, and what it says of a wrong folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nrt.errors import ConfigError
from nrt_sim.bench import Row, engine, net_a, table
from nrt_sim.bench_layers import LayerRow, crossover

ROW = Row("a", 2000, 0.25, 0.3, None, None, None, 1_000_000, 10, 10)


def test_without_yardsticks_the_table_says_that_there_is_no_ratio() -> None:
    text = table([ROW])
    assert "4.00" in text  # 10^6 synops in 0.25 ms
    assert "no ratio" in text


def test_with_yardsticks_the_table_has_the_ratio_and_whether_outputs_are_equal() -> None:
    row = Row("a", 2000, 0.25, 0.3, 0.5, 0.5, False, 1_000_000, 10, 10)
    assert "0.50" in table([row])
    assert "NO" in table([row])
    assert "no ratio" not in table([row])


def test_a_folder_without_yardsticks_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gen\.py, ev2\.cpp, b_ev\.cpp"):
        engine(tmp_path, 1)


def test_net_a_has_the_neurons_and_weights_of_the_published_one() -> None:
    shapes = {
        "w1": (16, 2, 3, 3),
        "w2": (32, 16, 3, 3),
        "w3": (32, 32, 3, 3),
        "w4": (256, 8192),
        "w5": (11, 256),
    }
    network = net_a({name: np.zeros(shape) for name, shape in shapes.items()})
    assert network.neurons == 65536 + 131072 + 32768 + 256 + 11


def _layer_rows(*times: tuple[float, float, float]) -> list[LayerRow]:
    return [LayerRow("conv", density, scatter, gather, False) for density, scatter, gather in times]


def test_layers_cross_where_the_lines_between_the_measured_densities_do() -> None:
    rows = _layer_rows((0.1, 1.0, 4.0), (0.5, 5.0, 4.0), (1.0, 9.0, 4.0))
    assert crossover(rows) == pytest.approx(0.4)
    assert "crosses at 40%" in table([ROW, *rows])


def test_a_layer_that_is_best_scattered_at_any_density_never_crosses() -> None:
    rows = _layer_rows((0.1, 1.0, 4.0), (1.0, 3.0, 4.0))
    assert crossover(rows) is None
    assert "never crosses" in table([ROW, *rows])


def test_a_table_without_layers_says_nothing_of_them() -> None:
    assert "density" not in table([ROW])
