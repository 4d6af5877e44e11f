"""The emulated Speck chip against what others published of it: sinabs' hardware tests, its CPU simulation, the
datasheet's worked examples. No board was at hand; these are the facts that a board was said to obey.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from nrt_sim.chips.speck import columns as c
from nrt_sim.chips.speck import figures
from nrt_sim.chips.speck.chip import Chip
from nrt_sim.chips.speck.configuration import SpeckConfiguration, kernel_words, neuron_words, problems
from nrt_sim.chips.speck.events import Spike, WriteNeuronValue
from tests.unit.sim.speck_case import bench, relay, set_core, spikes

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.mark.parametrize("core", range(2, 9))
def test_one_event_of_weight_127_against_threshold_127_gives_one_spike(core: int) -> None:
    """sinabs tests/test_dynapcnn/test_single_neuron_hardware.py::test_deploy_dynapcnnnetwork, cores 2 to 8."""
    config = SpeckConfiguration()
    relay(config, core)
    board = bench(config)
    assert len(spikes(board.play(Spike(core)))) == 1
    assert (
        len(spikes(board.play(Spike(core, timestamp=0), Spike(core, timestamp=1_000_000), end=1_000_100)))
        == 2
    )


def test_an_event_runs_through_nine_cores_in_3_36_microseconds() -> None:
    """Richter et al., arXiv 2304.06793, abstract; the stamps count whole microseconds."""
    config = SpeckConfiguration()
    for core in range(9):
        relay(config, core, to=core + 1 if core < 8 else None, monitor_enable=core == 8)
    chip = Chip()
    chip.configure(config)
    queue = np.array([[0, c.SPIKE, 0, 0, 0, 0], [10**8, c.READ, 8, 0, 0, 0]], np.int64)
    out, _, _ = chip.run(queue)
    assert out[0, c.WHEN] == pytest.approx(3_360_000, rel=1e-5)


def test_a_negative_bias_lowers_every_membrane_at_each_tick_down_to_the_lower_threshold() -> None:
    """sinabs tests/test_dynapcnn/test_neuron_leak.py::test_neuron_leak: weight 1, bias -0.1, membrane 1 and
    min_v_mem -1, as eight-bit numbers 127, -13, 127, -127; slow clock 1 Hz; five looks a second apart.
    """
    config = SpeckConfiguration()
    weight = np.full((1, 1, 1, 1), 127)
    initial = np.full((1, 4, 4), 126).tolist()
    set_core(
        config, 0, weight, (1, 4, 4), high=127, low=-127, biases=[-13], leak_enable=True,
        neurons_initial_value=initial,
    )  # fmt: skip
    board = bench(config)
    clock = board.kit.get_io_module()
    clock.set_slow_clk_rate(1)
    clock.set_slow_clk(True)
    before = [127] * 16
    for second in range(1, 25):
        board.play(end=second * 1_010_000)
        after = [board.membrane(0, y << 2 | x) for y in range(4) for x in range(4)]
        assert all(a < b or b == -127 for a, b in zip(after, before, strict=True))
        before = after
    assert before == [-127] * 16


def test_every_neuron_of_a_16x32x32_map_has_the_address_that_sinabs_gives_it() -> None:
    """sinabs io.calculate_neuron_address and test_neuron_leak.py::test_neuron_address_calculation."""
    config = SpeckConfiguration()
    initial = np.arange(16 * 32 * 32).reshape(16, 32, 32)  # [feature][x][y], each its own number
    set_core(
        config, 2, np.ones((16, 1, 1, 1), np.int64), (1, 32, 32), high=32767,
        neurons_initial_value=initial.tolist(),
    )  # fmt: skip
    board = bench(config)
    rng = np.random.default_rng(1)
    for f, x, y in zip(*(rng.integers(0, n, 50) for n in (16, 32, 32)), strict=True):
        assert board.membrane(2, int(y) << 9 | int(x) << 4 | int(f)) == initial[f, x, y]


def test_a_sweep_of_writes_over_all_addresses_zeroes_every_membrane() -> None:
    """sinabs config_builder.set_all_v_mem_to_zeros does so, whatever the shape; here a map wider than high."""
    config = SpeckConfiguration()
    initial = np.full((3, 12, 5), 77).tolist()
    set_core(config, 7, np.ones((3, 1, 1, 1), np.int64), (1, 5, 12), high=100, neurons_initial_value=initial)
    board = bench(config)
    board.input.write([WriteNeuronValue(7, address, 0) for address in range(figures.NEURON_WORDS[7])])
    board.play()
    assert not board.module.board.chip.membranes(7).any()


def test_a_neuron_far_above_its_threshold_stays_silent_until_the_next_event() -> None:
    """Datasheet 3.2.4.6.2: one spike per event, even above twice the threshold; sinabs tips_for_training.md."""
    config = SpeckConfiguration()
    relay(config, 3, threshold_high=50)
    board = bench(config)
    assert len(spikes(board.play(Spike(3), end=1_000_000))) == 1
    assert board.membrane(3) == 127 - 50
    assert len(spikes(board.play(Spike(3, timestamp=2_000_000), end=3_000_000))) == 1
    assert board.membrane(3) == 2 * (127 - 50)


def test_the_lower_threshold_stops_inhibition() -> None:
    """Datasheet 3.2.4.6.3: standing at threshold_low, a membrane does not change under a negative weight."""
    config = SpeckConfiguration()
    relay(config, 3, threshold_low=-100).weights = [[[[-127]]]]
    board = bench(config)
    board.play(*[Spike(3)] * 5)
    assert board.membrane(3) == -100


@pytest.mark.parametrize(
    ("interval", "every"), [(0, 2), (1, 4), (2, 8), (3, 16), (4, 32), (5, 128), (6, 256), (7, 512)]
)
def test_the_decimator_passes_one_spike_in_so_many(interval: int, every: int) -> None:
    """Datasheet table 4."""
    config = SpeckConfiguration()
    relay(config, 4, output_decimator_enable=True, output_decimator_interval=interval)
    out = bench(config).play(*(Spike(4, timestamp=t) for t in range(1024)))
    assert len(spikes(out)) == 1024 // every


def test_the_datasheets_layer_of_128_ki_neurons_fits_no_core() -> None:
    """Datasheet 3.2.4.1, worked example: 16 to 32 features, kernel 3, padding 1, 64x64: 8 Ki and 128 Ki words."""
    assert kernel_words(16, 32, 3) == 8 * 1024
    assert neuron_words(32, 64, 64) == 128 * 1024
    for core in range(9):
        config = SpeckConfiguration()
        weights = np.zeros((32, 16, 3, 3), np.int64)
        set_core(config, core, weights, (16, 64, 64), high=1, low=-1, padding=(1, 1))
        assert [p for p in problems(config) if "neuron memory" in p]


def test_the_chip_has_the_memories_of_the_datasheet() -> None:
    """Datasheet table 1: 272 Ki kernel words and 320 Ki neurons in nine cores."""
    assert sum(figures.KERNEL_WORDS) == 272 * 1024
    assert sum(figures.NEURON_WORDS) == 320 * 1024


def _digits() -> tuple[SpeckConfiguration, NDArray[np.int64]]:
    """The published N-MNIST network with whole weights, and one N-MNIST recording as events for core 0."""
    h5py = pytest.importorskip("h5py")
    network, recording = DATA / "nir" / "cnn_sinabs.nir", DATA / "events" / "tonic_sample_nmnist.bin"
    if not network.exists() or not recording.exists():
        pytest.skip("the published network or recording is not in ../shared/data")
    layers = (  # node, stride, padding, kernel of a dense layer, pooling after, input map, core
        ("0", 2, 1, 0, 1, (2, 34, 34), 0),
        ("2", 1, 1, 0, 2, (16, 16, 16), 1),
        ("5", 1, 1, 0, 2, (16, 8, 8), 2),
        ("9", 1, 0, 4, 1, (8, 4, 4), 3),
        ("11", 1, 0, 1, 1, (256, 1, 1), 4),
    )
    config = SpeckConfiguration()
    with h5py.File(network) as file:
        for node, stride, padding, dense, pooling, inputs, index in layers:
            weights = np.array(file[f"node/nodes/{node}/weight"], np.float64)
            scale = 127 / np.abs(weights).max()
            whole = np.round(weights * scale).astype(np.int64)
            if dense:
                whole = whole.reshape(len(whole), -1, dense, dense)
            core = set_core(
                config, index, whole, inputs, high=round(scale), stride=(stride, stride),
                padding=(padding, padding), monitor_enable=True,
            )  # fmt: skip
            if index < 4:
                core.destinations[0].enable, core.destinations[0].layer = True, index + 1
                core.destinations[0].pooling = pooling
    data = np.frombuffer(recording.read_bytes(), np.uint8).reshape(-1, 5).astype(np.int64)
    queue = np.zeros((len(data) + 1, c.N_EVENT), np.int64)
    queue[:-1, c.WHEN] = ((data[:, 2] & 127) << 16 | data[:, 3] << 8 | data[:, 4]) * 1_000_000
    queue[:-1, c.X], queue[:-1, c.Y], queue[:-1, c.F] = data[:, 0], data[:, 1], data[:, 2] >> 7
    queue[-1, c.WHEN], queue[-1, c.WHAT], queue[-1, c.LAYER] = queue[-2, c.WHEN] + 10**10, c.READ, 4
    return config, queue


def test_sinabs_gives_the_numbers_that_the_next_two_tests_expect() -> None:
    """How they were made; where sinabs is installed, made again (3.1.3 on torch 2.13 did)."""
    torch, sinabs = pytest.importorskip("torch"), pytest.importorskip("sinabs")
    config, queue = _digits()
    events = queue[:-1]
    x = torch.zeros(len(events), 2, 34, 34)
    x[np.arange(len(events)), events[:, c.F], events[:, c.Y], events[:, c.X]] = 1
    found: list[int] = []
    digest = ""
    for core in config.cnn_layers[:5]:
        weight = torch.tensor(core.weights, dtype=torch.float32).transpose(2, 3)  # the chip's are [x][y]
        stride, padding = core.dimensions["stride"]["x"], core.dimensions["padding"]["x"]
        neurons = sinabs.layers.IAFSqueeze(
            batch_size=1, spike_threshold=float(core.threshold_high), spike_fn=sinabs.activation.SingleSpike,
            min_v_mem=-32768.0,
        )  # fmt: skip
        with torch.no_grad():
            spikes_of = neurons(torch.nn.functional.conv2d(x, weight, stride=stride, padding=padding))
        found.append(int(spikes_of.sum()))
        pairs = np.argwhere(spikes_of.flatten(1).numpy()).astype("<i8")
        digest = digest or hashlib.sha256(pairs.tobytes()).hexdigest()[:16]
        pooling = core.destinations[0].pooling
        x = torch.nn.functional.avg_pool2d(spikes_of, pooling) * pooling**2
    assert (found, digest) == ([6166, 12878, 8922, 10093, 968], "b04b52350d9c40c1")
    assert int(x.sum((0, 2, 3)).argmax()) == 4
    assert int(x.sum((0, 2, 3)).max()) == 952


def test_the_first_layer_spikes_as_sinabs_simulates_it_event_by_event() -> None:
    """sinabs 3.1.3 on torch 2.13, IAFSqueeze with SingleSpike, one event of the recording per time step, the same
    whole weights: the first layer fired 6166 spikes, whose (step, neuron) pairs had the SHA-256 that begins so.
    """
    config, queue = _digits()
    chip = Chip()
    chip.configure(config)
    fired: list[tuple[int, int]] = []
    for step, event in enumerate(queue[:-1]):
        event = event.reshape(1, -1).copy()
        event[0, c.WHEN] = step * 10**9  # far apart: what sinabs calls a step
        rest = np.array([[event[0, c.WHEN] + 10**9 - 1, c.READ, 0, 0, 0, 0]])
        out, _, _ = chip.run(np.concatenate((event, rest)))
        first = out[(out[:, c.WHAT] == c.SPIKE) & (out[:, c.LAYER] == 0)]
        fired += sorted((step, int(f * 256 + y * 16 + x)) for x, y, f in first[:, (c.X, c.Y, c.F)].tolist())
    digest = hashlib.sha256(np.array(fired, "<i8").tobytes()).hexdigest()
    assert (len(fired), digest[:16]) == (6166, "b04b52350d9c40c1")


def test_the_whole_network_finds_the_digit_that_sinabs_finds_with_about_as_many_spikes() -> None:
    """As above. Deeper layers differ: sinabs adds up the spikes of a step before the neuron sees them, the chip
    applies them one after the other. sinabs: 6166, 12878, 8922, 10093 and 968 spikes, class 4 in 952 of them.
    """
    config, queue = _digits()
    chip = Chip()
    chip.configure(config)
    out, _, _ = chip.run(queue)
    counts = [int(chip.state[core, c.SPIKES]) for core in range(5)]
    assert counts == pytest.approx([6166, 12878, 8922, 10093, 968], rel=0.02)
    last = out[(out[:, c.WHAT] == c.SPIKE) & (out[:, c.LAYER] == 4)]
    assert np.bincount(last[:, c.F], minlength=10).argmax() == 4
