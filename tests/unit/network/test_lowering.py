from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nrt.errors import ConfigError, Unsupported
from nrt.network import Conv, Dense, Network, Pool, Scale, load
from nrt.network.lower import from_nir
from tests.nir_graphs import chain, conv2d, cuba, graph, integrator, lif, sink, source, written

RNG = np.random.default_rng(3)


def both(made: Any, folder: Path, **choices: Any) -> Network:
    """The network through a file, which must equal the one from the object."""
    network = load(written(made, folder), **choices)
    assert network.hash == from_nir(made, **choices).hash
    return network


def ends(n: int = 1, m: int = 1) -> dict[str, Any]:
    return {"input": source(n), "output": sink(m)}


def links(network: Network) -> list[tuple[str, str, int]]:
    return [(p.source, p.target, p.delay) for p in network.projections]


def test_linear_nodes_in_a_row_become_one_chain_and_their_biases_one_bias(tmp_path: Path) -> None:
    w1, b1 = RNG.normal(size=(4, 3)), RNG.normal(size=4)
    w2, b2 = RNG.normal(size=(2, 4)), RNG.normal(size=2)
    scale = np.array([2.0, -1.0])
    made = chain(
        nir.Affine(w1, b1), nir.Affine(w2, b2), nir.Scale(scale), lif((2,)), inputs=(3,), outputs=(2,)
    )
    (projection,) = both(made, tmp_path).projections
    assert [type(o) for o in projection.operators] == [Dense, Dense, Scale]
    assert projection.bias is not None
    np.testing.assert_allclose(projection.bias, (w2 @ b1 + b2) * scale)


def test_a_bias_of_zeros_is_no_bias(tmp_path: Path) -> None:
    made = chain(nir.Affine(np.ones((1, 1)), np.zeros(1)), lif(), inputs=(1,), outputs=(1,))
    assert both(made, tmp_path).projections[0].bias is None


def test_two_paths_that_join_are_two_projections_and_the_bias_behind_them_counts_once(tmp_path: Path) -> None:
    nodes = ends(2, 2) | {
        "left": nir.Linear(np.eye(2)),
        "right": nir.Affine(np.eye(2) * 3, np.array([1.0, 2.0])),
        "joined": nir.Affine(np.eye(2) * 10, np.array([5.0, 5.0])),
        "n": lif((2,)),
    }
    edges = [
        *[("input", "left"), ("input", "right"), ("left", "joined"), ("right", "joined")],
        *[("joined", "n"), ("n", "output")],
    ]
    network = both(graph(nodes, edges), tmp_path)
    assert links(network) == [("input", "n", 0)] * 2
    biases = [p.bias for p in network.projections if p.bias is not None]
    assert len(biases) == 1
    np.testing.assert_array_equal(biases[0], [15.0, 25.0])


def test_edges_in_any_order_give_the_same_network(tmp_path: Path) -> None:
    nodes = ends() | {"n1": lif(), "n2": lif(), "n10": lif(), "w": nir.Linear(np.ones((1, 1)))}
    edges = [("input", "w"), ("w", "n2"), ("n2", "n10"), ("n10", "n1"), ("n1", "w"), ("n1", "output")]
    networks = [from_nir(graph(nodes, [edges[k] for k in RNG.permutation(len(edges))])) for _ in range(6)]
    assert len({n.hash for n in networks}) == 1
    assert [p.name for p in networks[0].populations] == ["input", "n2", "n10", "n1"]
    assert ("n1", "n2", 1) in links(networks[0])


def test_a_projection_onto_itself_and_one_that_closes_a_loop_take_one_step(tmp_path: Path) -> None:
    nodes = ends() | {"e": lif(), "i": lif(), "w": nir.Linear(np.ones((1, 1)))}
    edges = [("input", "e"), ("e", "w"), ("w", "e"), ("e", "i"), ("i", "e"), ("e", "output")]
    network = both(graph(nodes, edges), tmp_path)
    assert sorted(links(network)) == [("e", "e", 1), ("e", "i", 0), ("i", "e", 1), ("input", "e", 0)]


def test_propagation_next_adds_a_step_from_neuron_to_neuron_only(tmp_path: Path) -> None:
    nodes = ends() | {"a": lif(), "b": lif(), "w": nir.Linear(np.ones((1, 1)))}
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "w"), ("w", "output")]
    network = both(graph(nodes, edges), tmp_path, propagation="next")
    assert sorted(links(network)) == [("a", "b", 1), ("b", "a", 1), ("b", "output", 0), ("input", "a", 0)]


def test_delays_are_rounded_to_steps_and_what_that_costs_is_noted(tmp_path: Path) -> None:
    made = chain(nir.Delay(np.array([0.0031])), lif(), inputs=(1,), outputs=(1,))
    network = both(made, tmp_path, dt=1000)
    assert links(network) == [("input", "b", 3)]
    assert network.notes == ("a: delays are rounded to whole steps, by up to 100 µs",)
    assert both(made, tmp_path, dt=100).notes == ()


def test_a_delayed_loop_needs_no_step_of_its_own(tmp_path: Path) -> None:
    nodes = ends() | {"n": lif(), "d": nir.Delay(np.array([0.005]))}
    edges = [("input", "n"), ("n", "d"), ("d", "n"), ("n", "output")]
    assert ("n", "n", 5) in links(both(graph(nodes, edges), tmp_path))


def test_delays_that_differ_between_neurons_split_the_projection(tmp_path: Path) -> None:
    made = chain(nir.Delay(np.array([0.001, 0.004, 0.001])), lif((3,)), inputs=(3,), outputs=(3,))
    network = both(made, tmp_path)
    assert links(network) == [("input", "b", 1), ("input", "b", 4)]
    masks = [p.operators[0] for p in network.projections]
    assert [m.factor.tolist() for m in masks if isinstance(m, Scale)] == [[1, 0, 1], [0, 1, 0]]


def test_an_output_fed_by_a_linear_node_becomes_a_silent_readout(tmp_path: Path) -> None:
    made = chain(lif((2,)), nir.Affine(np.ones((1, 2)), np.ones(1)), inputs=(2,), outputs=(1,))
    network = both(made, tmp_path)
    assert network.outputs == ("output",)
    readout = network["output"].neuron
    assert readout is not None
    assert not readout.fires
    assert (float(readout.decay), float(readout.gain)) == (0.0, 1.0)


def test_a_convolution_in_one_dimension_is_one_of_height_one(tmp_path: Path) -> None:
    weight = RNG.normal(size=(4, 2, 3))
    node = nir.Conv1d(
        input_shape=9, weight=weight, stride=2, padding=1, dilation=1, groups=1, bias=np.ones(4)
    )
    made = chain(node, lif((4, 5)), inputs=(2, 9), outputs=(4, 5), check=False)
    network = both(made, tmp_path)
    assert network["input"].shape == (2, 1, 9)
    assert network["b"].shape == (4, 1, 5)
    (conv,) = network.projections[0].operators
    assert isinstance(conv, Conv)
    assert (conv.weight.shape, conv.stride, conv.padding) == ((4, 2, 1, 3), (1, 2), (0, 1))


def test_groups_dilation_and_uneven_strides_reach_the_operator(tmp_path: Path) -> None:
    node = conv2d(
        RNG.normal(size=(4, 2, 3, 2)), (9, 8), stride=(2, 1), padding=(1, 0), dilation=(2, 3), groups=2
    )
    made = chain(node, lif((4, 4, 5)), inputs=(4, 9, 8), outputs=(4, 4, 5), check=False)
    (conv,) = both(made, tmp_path).projections[0].operators
    assert isinstance(conv, Conv)
    assert (conv.stride, conv.padding, conv.dilation, conv.groups) == ((2, 1), (1, 0), (2, 3), 2)


def test_pools_with_scalar_kernels_are_square(tmp_path: Path) -> None:
    pool = nir.AvgPool2d(kernel_size=np.array(2), stride=np.array(2), padding=np.array(0))
    made = chain(pool, integrator((3, 2, 2)), inputs=(3, 4, 4), outputs=(3, 2, 2), check=False)
    (operator,) = both(made, tmp_path).projections[0].operators
    assert isinstance(operator, Pool)
    assert (operator.kernel, operator.stride, operator.kind) == ((2, 2), (2, 2), "average")


def test_flatten_vanishes(tmp_path: Path) -> None:
    flatten = nir.Flatten(input_type={"input": np.array([2, 3, 3])}, start_dim=0, end_dim=-1)
    made = chain(flatten, nir.Linear(np.ones((4, 18))), lif((4,)), inputs=(2, 3, 3), outputs=(4,))
    (projection,) = both(made, tmp_path).projections
    assert [type(o) for o in projection.operators] == [Dense]


def test_parameters_of_one_number_stand_for_the_whole_population(tmp_path: Path) -> None:
    made = chain(
        conv2d(np.ones((2, 1, 3, 3)), (5, 5)), lif(()), inputs=(1, 5, 5), outputs=(2, 3, 3), check=False
    )
    assert both(made, tmp_path)["b"].shape == (2, 3, 3)


def test_parameters_per_channel_are_spread_over_it(tmp_path: Path) -> None:
    node = lif((2, 1, 1))
    node.v_threshold = np.array([1.0, 2.0]).reshape(2, 1, 1)
    made = chain(
        conv2d(np.ones((2, 1, 3, 3)), (5, 5)), node, inputs=(1, 5, 5), outputs=(2, 3, 3), check=False
    )
    neuron = both(made, tmp_path)["b"].neuron
    assert neuron is not None
    assert neuron.threshold[:, 1, 2].tolist() == [1.0, 2.0]


def test_a_threshold_is_a_neuron_without_memory(tmp_path: Path) -> None:
    made = chain(nir.Threshold(np.array([0.5, 0.7])), inputs=(2,), outputs=(2,))
    neuron = both(made, tmp_path)["a"].neuron
    assert neuron is not None
    assert (float(neuron.decay), neuron.reset, neuron.fire) == (0.0, "none", ">")
    assert neuron.threshold.tolist() == [0.5, 0.7]


def test_nested_graphs_are_inlined_with_dotted_names(tmp_path: Path) -> None:
    inner = graph(
        {"input": source(2), "output": sink(2), "n": lif((2,))},
        [("input", "n"), ("n", "n"), ("n", "output")],
    )
    outer = chain(
        nir.Linear(np.ones((2, 1))), inner, nir.Linear(np.ones((1, 2))), lif(), inputs=(1,), outputs=(1,)
    )
    network = both(outer, tmp_path)
    assert [p.name for p in network.populations] == ["input", "b.n", "d"]
    assert links(network) == [("input", "b.n", 0), ("b.n", "b.n", 1), ("b.n", "d", 0)]


def test_time_constants_without_dt_are_noted() -> None:
    assert from_nir(chain(lif(), inputs=(1,), outputs=(1,))).notes == (
        "the file says nothing of dt; 1 ms is taken",
    )
    assert from_nir(chain(lif(), inputs=(1,), outputs=(1,)), dt="1ms").notes == ()
    assert from_nir(chain(integrator(), inputs=(1,), outputs=(1,))).notes == ()


def test_the_encoding_follows_the_number_of_input_channels() -> None:
    def encoding(channels: int) -> str:
        weight = np.ones((1, channels, 2, 2))
        made = chain(
            conv2d(weight, (2, 2)), lif((1, 1, 1)), inputs=(channels, 2, 2), outputs=(1, 1, 1), check=False
        )
        return from_nir(made).encoding.polarity

    assert (encoding(1), encoding(2)) == ("merge", "split")


class _Foreign:
    """An object of a nir package to come: it too has a dictionary form."""

    def __init__(self, made: Any, **nodes: dict[str, Any]) -> None:
        self.data = made.to_dict()
        self.data["nodes"] |= nodes

    def to_dict(self) -> dict[str, Any]:
        return dict(self.data)


def _changed(made: Any, name: str, **values: Any) -> _Foreign:
    return _Foreign(made, **{name: made.to_dict()["nodes"][name] | values})


def test_an_unknown_node_type_is_named() -> None:
    made = _changed(chain(lif(), inputs=(1,), outputs=(1,)), "a", type="Izhikevich")
    with pytest.raises(Unsupported, match="a: nodes of type Izhikevich are unknown here") as caught:
        from_nir(made)
    assert caught.value.node == "a"


def test_weights_that_do_not_fit_are_named() -> None:
    made = chain(nir.Linear(np.ones((2, 3))), lif((2,)), inputs=(4,), outputs=(2,), check=False)
    with pytest.raises(ConfigError, match=r"a: weight has shape \(2, 3\), what arrives has shape \(4,\)"):
        from_nir(made)


def test_populations_that_do_not_fit_what_arrives_are_named() -> None:
    made = chain(nir.Linear(np.ones((2, 1))), lif((3,)), inputs=(1,), outputs=(3,), check=False)
    with pytest.raises(ConfigError, match=r"b: .*\(3,\).*\(2,\)"):
        from_nir(made)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_are_named(bad: float) -> None:
    made = chain(nir.Linear(np.array([[bad]])), lif(), inputs=(1,), outputs=(1,))
    with pytest.raises(ConfigError, match="a: weight is not finite"):
        from_nir(made)


def test_a_loop_without_a_neuron_is_refused() -> None:
    nodes = ends() | {"a": nir.Linear(np.ones((1, 1))), "b": nir.Linear(np.ones((1, 1))), "n": lif()}
    edges = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "n"), ("n", "output")]
    with pytest.raises(ConfigError, match="a: linear nodes form a loop without a neuron"):
        from_nir(graph(nodes, edges))


def test_a_population_that_its_leak_alone_drives_is_noted() -> None:
    nodes = ends() | {"n": lif(), "alone": lif(v_leak=2.0)}
    network = from_nir(graph(nodes, [("input", "n"), ("alone", "n"), ("n", "output")], check=False), dt=1000)
    assert links(network) == [("input", "n", 0), ("alone", "n", 0)]
    assert network.notes == ("nothing reaches 'alone' from the Input",)


def test_two_inputs_are_refused() -> None:
    nodes = ends() | {"second": source(1), "n": lif()}
    with pytest.raises(Unsupported, match=r"2 Input nodes \(input, second\)"):
        from_nir(graph(nodes, [("input", "n"), ("second", "n"), ("n", "output")]))


def test_a_node_that_nothing_reaches_is_named() -> None:
    nodes = ends() | {"n": lif(), "lost": nir.Linear(np.ones((1, 1)))}
    with pytest.raises(ConfigError, match="nothing arrives at 'lost'"):
        from_nir(graph(nodes, [("input", "n"), ("n", "output"), ("lost", "n")], check=False))


def test_an_edge_to_nowhere_is_named_where_it_cannot_be_repaired() -> None:
    made = _Foreign(chain(lif(), inputs=(1,), outputs=(1,)))
    made.data["edges"] = [("input", "x"), ("x", "output"), ("a", "output")]
    with pytest.raises(ConfigError, match="an edge names 'x', which is no node; there is input, output, a"):
        from_nir(made)


def test_more_paths_than_can_be_meant_are_refused() -> None:
    nodes, edges, last = ends(), [], "input"
    for k in range(14):
        nodes |= {f"{side}{k}": nir.Linear(np.ones((1, 1))) for side in "ab"} | {
            f"j{k}": nir.Scale(np.ones(1))
        }
        edges += [(last, f"a{k}"), (last, f"b{k}"), (f"a{k}", f"j{k}"), (f"b{k}", f"j{k}")]
        last = f"j{k}"
    nodes["n"] = lif()
    with pytest.raises(Unsupported, match="more than 4096 paths"):
        from_nir(graph(nodes, [*edges, (last, "n"), ("n", "output")]))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"stride": np.array([0, 1])}, "out of range"),
        ({"padding": np.array([-1, 0])}, "out of range"),
        ({"padding": "reflect"}, "padding 'reflect'"),
        ({"groups": 3}, "does not fit 2 input channels"),
        ({"input_shape": np.array([7, 7])}, r"input_shape is \(7, 7\)"),
        ({"dilation": np.array([9, 9])}, "smaller than the window"),
        ({"weight": np.ones((1, 2, 3))}, "four dimensions"),
        ({"bias": np.ones(5)}, "bias has shape"),
        ({"stride": np.array([1.5, 1])}, "whole numbers"),
        ({"padding": np.array([60000, 60000])}, "is too large"),
        ({"padding": np.array([2500, 2500]), "stride": np.array([2000, 2000])}, "is too large"),
    ],
)
def test_a_convolution_that_cannot_be_is_refused_with_its_name(values: Any, sentence: str) -> None:
    made = chain(
        conv2d(np.ones((1, 2, 3, 3)), (5, 5)),
        lif((1, 3, 3)),
        inputs=(2, 5, 5),
        outputs=(1, 3, 3),
        check=False,
    )
    with pytest.raises((ConfigError, Unsupported), match=f"a: .*{sentence}"):
        from_nir(_changed(made, "a", **values))


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), (1 << 20, 1 << 20), (1, 2, 3, 4, 5)])
def test_inputs_of_impossible_shape_are_refused(shape: tuple[int, ...]) -> None:
    made = _changed(chain(lif(), inputs=(1,), outputs=(1,)), "input", shape=np.array(shape))
    with pytest.raises((ConfigError, Unsupported), match="input: "):
        from_nir(made)


def test_a_small_file_cannot_make_a_large_network() -> None:
    nodes: list[Any] = [conv2d(np.ones((1, 1, 1, 1)), None, padding=400) for _ in range(6)]
    made = chain(*nodes, lif(()), inputs=(1, 9, 9), outputs=(1,), check=False)
    with pytest.raises(Unsupported, match="too large a network"):
        from_nir(made)


def test_importing_networks_does_not_import_h5py() -> None:
    code = "import sys, nrt.network, nrt.network.presets; sys.exit('h5py' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_input_without_dimensions_is_one_neuron() -> None:
    made = _changed(
        chain(lif(()), inputs=(1,), outputs=(1,), check=False), "input", shape=np.array([], np.int64)
    )
    assert from_nir(made)["input"].shape == (1,)


def test_a_synapse_without_w_in_has_one() -> None:
    made = chain(cuba(), inputs=(1,), outputs=(1,))
    node = made.to_dict()["nodes"]["a"]
    del node["w_in"]
    neuron = from_nir(_Foreign(made, a=node))["a"].neuron
    assert neuron is not None
    assert neuron.synapse_gain is not None
    np.testing.assert_allclose(neuron.synapse_gain, 0.2)
