"""Reading lava-dl's files: what they mean, and one sentence for each that is damaged or cannot be done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nrt.errors import ConfigError, DoesNotFit, NotFound, NrtError, Unsupported
from nrt.network import Conv, Dense, Network, Scale, load
from tests.netx_files import cuba, write_net

DENSE: dict[str, Any] = {
    "type": "dense",
    "shape": [3],
    "weight": np.full((3, 4), 8.0),
    "neuron": cuba(64, 1024, 128),
}
CONV: dict[str, Any] = {
    "type": "conv", "shape": [2, 6, 6], "weight": np.ones((2, 1, 3, 3)), "stride": [1, 1], "padding": [0, 0],
    "dilation": [1, 1], "groups": 1, "neuron": cuba(),
}  # fmt: skip
POOL: dict[str, Any] = {
    "type": "pool", "shape": [2, 3, 3], "kernelSize": [2, 2], "stride": [2, 2], "padding": [0, 0],
    "dilation": [1, 1], "weight": np.full((1, 1, 2, 2), 70), "neuron": cuba(),
}  # fmt: skip


def of(folder: Path, layers: Sequence[dict[str, Any]], **more: Any) -> Network:
    return load(write_net(folder / "network.net", layers), **more)


def test_a_dense_layer_keeps_its_whole_numbers(tmp_path: Path) -> None:
    network = of(tmp_path, [DENSE | {"bias": np.array([1, -2, 3])}])

    cell = network["dense0"].neuron
    assert cell is not None
    assert cell.synapse_decay is not None
    assert (float(cell.decay) * 4096, float(cell.synapse_decay) * 4096) == (4096 - 128, 4096 - 1024)
    assert (float(cell.threshold), cell.fire, cell.reset) == (64.0, ">", "hard")
    assert cell.drive.tolist() == [1, -2, 3]
    (synapse,) = network.projections
    assert (synapse.source, synapse.target, synapse.delay) == ("input", "dense0", 1)
    (operator,) = synapse.operators
    assert isinstance(operator, Dense)
    assert operator.weight.tolist() == [[8.0] * 4] * 3
    assert network["input"].shape == (4,)
    assert network.notes == ()


@pytest.mark.parametrize("kind", ["CUBA", "LOIHI"])
def test_both_names_of_the_neuron_mean_the_same(tmp_path: Path, kind: str) -> None:
    network = of(tmp_path, [DENSE | {"neuron": cuba(64) | {"type": kind}}])
    assert network.neurons == 3


def test_the_step_is_the_files_one_millisecond_or_what_is_asked_for(tmp_path: Path) -> None:
    path = write_net(tmp_path / "a.net", [DENSE], sampling=5)
    assert load(path).semantics.dt == 5000
    assert load(path, dt="100us").semantics.dt == 100
    assert of(tmp_path, [DENSE]).semantics.dt == 1000


def test_inputs_are_binary_with_both_polarities_where_there_are_two_channels(tmp_path: Path) -> None:
    network = of(tmp_path, [{"type": "input", "shape": [2, 8, 8]}, CONV | {"weight": np.ones((2, 2, 3, 3))}])
    assert (network.encoding.values, network.encoding.polarity) == ("binary", "split")


def test_a_first_convolution_without_stride_says_what_its_input_is(tmp_path: Path) -> None:
    network = of(tmp_path, [CONV])
    assert network["input"].shape == (1, 8, 8)
    assert isinstance(network.projections[0].operators[0], Conv)
    with pytest.raises(ConfigError, match="layer 0 is a convolution, and the file does not say"):
        of(tmp_path, [CONV | {"stride": [2, 2]}])


def test_axonal_delays_part_a_projection_by_channel(tmp_path: Path) -> None:
    network = of(tmp_path, [CONV | {"delay": np.array([0.9, 3.2])}, POOL])
    parts = network.into("pool1")
    assert [p.delay for p in parts] == [1, 4]
    for channel, part in enumerate(parts):
        mask = part.operators[0]
        assert isinstance(mask, Scale)
        assert [bool(mask.factor[c].all()) for c in (0, 1)] == [channel == 0, channel == 1]


def test_what_netx_leaves_out_is_a_note(tmp_path: Path) -> None:
    odd = cuba(64, refDelay=3, weight_exp=2, wgtExp=1) | {"gradedSpike": True}
    network = of(
        tmp_path, [DENSE | {"neuron": odd, "weight": np.full((3, 4), 2.5), "delay": np.array([2.0])}]
    )
    text = "\n".join(network.notes)
    for part in (
        "refDelay 3",
        "gradedSpike",
        "weight_exp",
        "2^1 (wgtExp)",
        "lose a fraction",
        "axonal delays of dense0",
    ):
        assert part in text
    operator = network.projections[0].operators[0]
    assert isinstance(operator, Dense)
    assert operator.weight[0, 0] == 4.0


def test_a_layer_without_neurons_adds_up_and_never_fires(tmp_path: Path) -> None:
    network = of(tmp_path, [{k: v for k, v in DENSE.items() if k != "neuron"}])
    cell = network["dense0"].neuron
    assert cell is not None
    assert not cell.fires
    assert "never fires" in network.notes[0]


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([DENSE | {"neuron": cuba() | {"type": "SDNN"}}], Unsupported, r"layer 0.neuron: neurons of type 'SDNN'"),
        ([DENSE | {"neuron": cuba() | {"type": "RF_IZ"}}], Unsupported, "neurons of type 'RF_IZ'"),
        ([DENSE, {"type": "average", "shape": [3]}], Unsupported, "layer 1: layers of type 'average'"),
        ([DENSE, {"type": "concat", "shape": [3]}], Unsupported, "layer 1: layers of type 'concat'"),
        ([DENSE, DENSE], ConfigError, "layer 1 takes 4 inputs, dense0 has 3"),
        ([DENSE, {"type": "input", "shape": [3]}], ConfigError, "layer 1 is an input, but not the first"),
        ([{"type": "flatten", "shape": [3]}], ConfigError, "nothing before it"),
        ([{"type": "input", "shape": [3]}], ConfigError, "has no layer with neurons"),
        ([DENSE | {"weight": np.ones(7)}], ConfigError, "7 weights for 3 neurons"),
        ([DENSE | {"weight": np.full((3, 4), np.nan)}], ConfigError, "weight is empty or not finite"),
        ([{k: v for k, v in DENSE.items() if k != "weight"}], ConfigError, "layer 0 has no weight"),
        ([DENSE | {"neuron": cuba(current=5000)}], ConfigError, "iDecay is outside 0 to 4096"),
        ([DENSE | {"neuron": cuba(np.ones(2))}], ConfigError, r"vThMant has shape \(2,\)"),
        ([DENSE | {"delay": np.array([1.0, 2.0])}], ConfigError, "2 delays up to 2 for 3 channels"),
        ([DENSE | {"delay": np.array([99.0])}], ConfigError, "below 64"),
        ([DENSE | {"shape": [0]}], ConfigError, "is none"),
        ([DENSE | {"shape": [1 << 30]}], ConfigError, "larger than any network"),
        ([CONV, CONV], ConfigError, "kernel of shape"),
        ([CONV, POOL | {"shape": [2, 4, 4]}], ConfigError, r"layer 1 says its shape is \(2, 4, 4\)"),
        ([CONV, POOL | {"weight": np.arange(4)}], Unsupported, "a pool with several weights"),
        ([POOL], ConfigError, "does not say the shape of its input"),
        ([CONV | {"stride": [1.5, 1]}], ConfigError, "stride is no pair"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said_with_the_layer(
    tmp_path: Path, layers: list[dict[str, Any]], error: type[NrtError], message: str
) -> None:
    with pytest.raises(error, match=message):
        of(tmp_path, layers)


def test_complex_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "complex.net"
    with h5py.File(path, "w") as file:
        file["layer/0/type"] = np.array([b"dense"])
        file["layer/0/weight/real"] = np.ones((2, 2))
        file["layer/0/weight/imag"] = np.ones((2, 2))
    with pytest.raises(Unsupported, match="layer 0: complex weights"):
        load(path)


def test_a_file_says_itself_what_it_means(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="leave out like and set"):
        of(tmp_path, [DENSE], like="snntorch")
    with pytest.raises(ConfigError, match="leave out like and set"):
        of(tmp_path, [DENSE], reset="soft")
    with pytest.raises(ConfigError, match="dt is 0"):
        of(tmp_path, [DENSE], dt=0)


def test_a_file_is_known_by_its_layers_whatever_its_name(tmp_path: Path) -> None:
    path = write_net(tmp_path / "renamed.h5", [DENSE])
    assert load(path).neurons == 3


def test_no_file_no_hdf5_and_no_layers_are_one_sentence_each(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no file"):
        load(tmp_path / "nowhere.net")
    text = tmp_path / "text.net"
    text.write_text("layer 0: dense")
    with pytest.raises(ConfigError, match="is no lava-dl file: it is not HDF5"):
        load(text)
    empty = tmp_path / "empty.net"
    with h5py.File(empty, "w") as file:
        file["other"] = 1
    with pytest.raises(ConfigError, match="it has no group 'layer'"):
        load(empty)
    gap = write_net(tmp_path / "gap.net", [DENSE, DENSE])
    with h5py.File(gap, "r+") as file:
        file.move("layer/1", "layer/5")
    with pytest.raises(ConfigError, match="there are 2 layers, but no layer 1"):
        load(gap)


def test_damaged_files_load_or_are_refused_and_nothing_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = write_net(tmp_path / "whole.net", [CONV | {"delay": np.array([0, 2])}, POOL]).read_bytes()
    path = tmp_path / "damaged.net"
    refused = 0
    for trial in range(150):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 12))):
            content[int(rng.integers(0, len(content)))] = int(rng.integers(0, 256))
        path.write_bytes(
            bytes(content[: int(rng.integers(1, len(content)))]) if trial % 5 == 0 else bytes(content)
        )
        try:
            load(path)
        except (ConfigError, Unsupported, DoesNotFit):
            refused += 1
    assert refused > 0
