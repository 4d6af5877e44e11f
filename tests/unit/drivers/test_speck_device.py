"""The Speck driver against an emulated board behind the vendor's calls."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import nrt
from nrt import registry
from nrt.device import Device
from nrt.errors import (
    ConfigError,
    DeployError,
    DeviceBusy,
    DeviceLost,
    DeviceTimeout,
    MissingDependency,
    NotFound,
    Unsupported,
)
from nrt.network import Network
from nrt.network.encoding import Encoding
from nrt.network.neuron import neuron
from nrt.network.operators import Conv, Dense, Pool, array
from nrt.packet import EVENT, SPIKE, Packet, Records
from nrt.testing import Script
from nrt_sim.models.reading import Reading, decide, votes
from nrt_sim.models.reading import network as digits
from tests.unit.drivers.speck_networks import chain, dense, fire

PATIENCE = 110.0  # the emulated board may have to be compiled first


def packets(data: Records, span: int = 1_000, count: int = 0) -> list[Packet]:
    """Packets of `span` µs that hold `data`."""
    count = count or (int(data["t"][-1]) // span + 1 if len(data) else 1)
    return [
        Packet(data[(data["t"] >= k * span) & (data["t"] < (k + 1) * span)], k * span, (k + 1) * span, 0)
        for k in range(count)
    ]


def random_events(count: int, side: int, until: int, seed: int = 0) -> Records:
    made = np.zeros(count, EVENT)
    draw = np.random.default_rng(seed)
    made["t"] = np.sort(draw.integers(0, until, count))
    for name, top in (("x", side), ("y", side), ("p", 2)):
        made[name] = draw.integers(0, top, count)
    return made


async def play(
    uri: str | Device, network: Network, sent: Sequence[Packet], taps: Sequence[str] = ()
) -> dict[str, list[Packet]]:
    """The packets of each watched population."""
    found: dict[str, list[Packet]] = {}
    async with asyncio.timeout(PATIENCE), nrt.open(uri) as session:
        await session.deploy(network, taps=taps)
        async with session.stream(Script(sent)) as run:
            async for packet in run:
                found.setdefault(packet.origin, []).append(packet)
    return found


def counts(found: list[Packet], size: int) -> list[int]:
    total = np.zeros(size, np.int64)
    for packet in found:
        total += np.bincount(packet.data["n"], packet.data["v"], minlength=size).astype(np.int64)
    return total.tolist()


def synapse(weight: float = 127, threshold: float = 127) -> Network:
    return chain((1, 1, 1), ("out", [dense(1, 1, weight)], fire(threshold)))


def edges(side: int = 16) -> Network:
    """A convolution with structure, pooled into a dense layer."""
    draw = np.random.default_rng(5)
    kernel = array(draw.integers(-60, 128, (4, 2, 3, 3)))
    last = array(draw.integers(-100, 128, (5, 4 * (side // 2) ** 2)))
    return chain(
        (2, side, side),
        ("conv", [Conv(kernel, padding=(1, 1))], fire(150)),
        ("out", [Pool((2, 2), (2, 2)), Dense(last)], fire(200)),
    )


# --- what a chip is known to do


async def test_weight_127_at_threshold_127_fires_once_for_every_event() -> None:
    """The single neuron of sinabs' hardware test, tests/test_dynapcnn/test_single_neuron_hardware.py."""
    data = np.zeros(5, EVENT)
    data["t"] = [100, 300, 1_200, 1_201, 2_999]
    found = await play("speck+emu:", synapse(), packets(data, count=3))
    assert [len(p.data) for p in found["out"]][:3] in ([2, 2, 1], [2, 2, 0])
    assert sum(len(p.data) for p in found["out"]) == 5


async def test_the_published_network_reads_a_digit_as_the_clocked_simulation_does(data: Path) -> None:
    recording = str(data / "events" / "tonic_sample_nmnist.bin")
    answers: list[int] = []
    for uri in ("cpu:", "speck+emu:"):
        async with asyncio.timeout(PATIENCE), nrt.open(uri) as session:
            await session.deploy(data / "nir" / "cnn_sinabs.nir")
            report = await session.run(recording)
        assert report.error == ""
        answers.append(int(np.argmax(report.counts["12"])))
    assert answers[0] == answers[1]


async def test_the_shipped_network_reads_digits_without_its_leak() -> None:
    source = Reading(6, seed=1001, speed=0.0)
    uri = "speck+emu:?leak=none&balancer=yes"
    async with asyncio.timeout(PATIENCE), nrt.open(uri) as session:
        await session.deploy(digits())
        async with session.stream(source) as run:
            data = [packet.data async for packet in run if len(packet.data)]
    answers = decide(votes(np.concatenate(data).astype(SPIKE), 6))
    assert np.count_nonzero(answers == source.answers) >= 5
    assert run.report.counters.events > 1_000


async def test_more_than_a_core_can_do_ends_the_run_with_the_ways_out() -> None:
    """A board whose cores need 100 µs for a synaptic operation is overloaded by anything."""
    uri = "speck+emu:?lag=20ms&synop_ns=100000"
    with pytest.raises(DeviceTimeout, match="balancer=yes"):
        await play(uri, edges(), packets(random_events(5_000, 16, 50_000)))


# --- where events go


async def test_events_through_the_dvs_layer_cause_the_spikes_of_events_encoded_by_the_driver() -> None:
    encoding = Encoding(polarity="split", crop=(16, 32, 32, 32), pool=2)
    network = edges()
    network = nrt.Network(
        network.populations, network.projections, network.inputs, network.outputs, network.semantics, encoding
    )
    sent = packets(random_events(3_000, 64, 30_000))
    direct = await play("speck+emu:", network, sent)
    through = await play("speck+emu:?input=dvs", network, sent)
    assert counts(direct["out"], 5) == counts(through["out"], 5)
    assert sum(counts(direct["out"], 5)) > 20


@pytest.mark.parametrize(("mirror", "swap"), [("x", False), ("y", False), ("xy", False), ("none", True)])
async def test_the_dvs_layer_mirrors_and_swaps(mirror: str, swap: bool) -> None:
    data = random_events(2_000, 16, 20_000, seed=3)
    turned = data.copy()
    if "x" in mirror:
        turned["x"] = 15 - data["x"]
    if "y" in mirror:
        turned["y"] = 15 - data["y"]
    if swap:
        turned["x"], turned["y"] = data["y"].copy(), data["x"].copy()
    expected = await play("speck+emu:", edges(), packets(turned))
    uri = f"speck+emu:?input=dvs&mirror={mirror}&swap_xy={'yes' if swap else 'no'}"
    found = await play(uri, edges(), packets(data))
    assert counts(found["out"], 5) == counts(expected["out"], 5)


async def test_one_polarity_or_both_merged_reach_a_network_with_one_channel() -> None:
    data = random_events(600, 8, 10_000)
    sizes = {"merge": 600, "on": int(data["p"].sum()), "off": int((1 - data["p"]).sum())}
    for polarity, size in sizes.items():
        encoding = Encoding(polarity=polarity)  # type: ignore[arg-type]
        network = chain((1, 8, 8), ("out", [dense(1, 64, 127)], fire(127)), encoding=encoding)
        for way in ("spikes", "dvs"):
            found = await play(f"speck+emu:?input={way}", network, packets(data))
            assert counts(found["out"], 1) == [size], (polarity, way)


async def test_binary_values_are_one_spike_per_neuron_and_step_however_packets_are_cut() -> None:
    data = np.zeros(8, EVENT)
    data["t"] = [0, 100, 300, 999, 1_000, 1_500, 1_999, 2_000]
    data["x"] = [0, 0, 1, 0, 0, 1, 0, 0]
    encoding = Encoding(values="binary", polarity="merge")
    network = chain((1, 1, 2), ("out", [dense(1, 2, 127)], fire(127)), encoding=encoding)
    for span in (1_000, 3_000, 500, 200):
        found = await play("speck+emu:", network, packets(data, span, count=3_000 // span))
        assert counts(found["out"], 1) == [5], span


async def test_spike_records_go_in_as_they_are_and_a_payload_of_k_is_k_spikes() -> None:
    data = np.zeros(4, SPIKE)
    data["t"], data["n"], data["v"] = [10, 20, 30, 40], [0, 0, 7, 0], [1, 3, 1, -1]
    async with asyncio.timeout(PATIENCE), nrt.open("speck+emu:") as session:
        await session.deploy(synapse())
        report = await session.run(Script([Packet(data, 0, 1_000, 0)]))
    assert report.counters.spikes["out"] == 4
    assert report.counters.outside == 2


# --- what it reports


async def test_taps_and_decimated_layers_report_what_leaves_the_core() -> None:
    data = packets(random_events(2_000, 16, 20_000))
    plain = await play("speck+emu:", edges(), data, taps=["conv"])
    assert sum(counts(plain["conv"], 4 * 256)) > 100
    assert [p.end for p in plain["conv"]][:20] == [p.end for p in data]
    halved = await play("speck+emu:?decimate=conv:2", edges(), data, taps=["conv"])
    assert 0 < sum(counts(halved["out"], 5)) < sum(counts(plain["out"], 5))


async def test_counters_hold_what_the_chip_reports_and_energy_is_never_called_measured_here() -> None:
    data = packets(random_events(1_500, 16, 100_000))
    async with asyncio.timeout(PATIENCE), nrt.open("speck+emu:") as session:
        await session.deploy(edges())
        report = await session.run(Script(data))
        assert report.counters.events == 1_500
        assert set(report.counters.synops) == {"input → conv"}
        assert report.counters.synops["input → conv"] > 1_500 * 4 * 4
        (energy,) = [figure for figure in report.energy if figure.boundary == "chip rails"]
        assert energy.kind == "modelled"
        assert 0 < energy.joules < 1e-2
        assert "samples are counted" in energy.notes[0]
        again = await session.run(Script(data))
        assert again.counts == report.counts
    async with asyncio.timeout(PATIENCE), nrt.open("speck+emu:?power=0") as session:
        await session.deploy(edges())
        report = await session.run(Script(data))
        assert not [figure for figure in report.energy if figure.boundary == "chip rails"]


async def test_membranes_and_taps_of_the_input_cannot_be_shown() -> None:
    async with asyncio.timeout(PATIENCE), nrt.open("speck+emu:") as session:
        with pytest.raises(Unsupported, match="no time"):
            await session.deploy(edges(), membranes=["conv"])
        with pytest.raises(Unsupported, match="input"):
            await session.deploy(edges(), taps=["input"])
        with pytest.raises(Unsupported):
            await session.device.fork()


async def test_a_stream_longer_than_the_boards_clock_of_32_bits_keeps_its_time() -> None:
    """Packets of 4 minutes for 80, and an event in the last: the stop watch wraps after 71.6."""
    span, count = 240_000_000, 20
    data = np.zeros(1, EVENT)
    data["t"] = (count - 1) * span + 500
    found = await play("speck+emu:?power=0", synapse(), packets(data, span, count))
    (spike,) = [int(t) for packet in found["out"] for t in packet.data["t"]]
    assert spike - int(data["t"][0]) in (0, 1)
    with pytest.raises(ConfigError, match="268 s"):
        await play("speck+emu:?power=0", synapse(), [Packet(data[:0], 0, 300_000_000, 0)])


# --- planning without hardware


async def test_a_plan_needs_no_board_and_says_what_deploying_says() -> None:
    planned = await registry.device("speck+samna:").plan(edges())
    async with asyncio.timeout(PATIENCE), nrt.open("speck+emu:") as session:
        deployed = await session.deploy(edges())
    assert planned.rows == deployed.rows
    assert any("never met a real board" in note for note in planned.notes)


async def test_a_leaky_network_is_refused_with_the_options_that_run_it() -> None:
    with pytest.raises(DeployError, match=r"leak=none.*leak=linear"):
        await registry.device("speck+emu:").plan(digits())
    linear = await registry.device("speck+emu:?leak=linear&slow_clock=100").plan(digits())
    assert any("every 10000 µs" in note for note in linear.notes)


async def test_the_published_network_is_planned_with_the_errors_of_rounding(data: Path) -> None:
    """What `nrt deploy --dry-run` prints."""
    network = Network.load(data / "nir" / "cnn_sinabs.nir")
    printed = str(await registry.device("speck+emu:").plan(network))
    for layer in ("1", "3", "6", "10", "12"):
        (line,) = [line for line in printed.splitlines() if line.split()[0] == layer]
        assert "core" in line
        assert "weights off by at most" in line


@pytest.mark.parametrize(
    "options",
    [
        "slow_clock=7",
        "slow_clock=-1",
        "decimate=conv",
        "decimate=conv:64",
        "mirror=x",
        "swap_xy=yes",
        "power=1000",
        "leak=maybe",
        "faults=loss",
        "nonsense=1",
        "fault=earthquake",
    ],
)
async def test_options_that_cannot_be_are_one_sentence(options: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await registry.device(f"speck+emu:?{options}").open()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "reason"),
    [
        (Encoding(values="binary"), "binary"),
        (Encoding(pool=3), "pools by 1, 2 or 4"),
        (Encoding(crop=(3, 0, 32, 32), pool=2), "multiple of 2"),
        (Encoding(crop=(120, 0, 16, 16)), "leaves the sensor"),
    ],
)
async def test_an_encoding_that_the_dvs_layer_cannot_do_is_refused(encoding: Encoding, reason: str) -> None:
    made = edges()
    network = Network(made.populations, made.projections, made.inputs, made.outputs, made.semantics, encoding)
    with pytest.raises(Unsupported, match=reason):
        await registry.device("speck+emu:?input=dvs").plan(network)


# --- what goes wrong


@pytest.mark.parametrize("after", [700, 10_000])
async def test_a_board_unplugged_in_deployment_or_in_a_run_is_lost_and_opens_again(after: int) -> None:
    """Writing the states takes some 2000 events, and a run a few thousand more."""
    data = packets(random_events(9_000, 16, 90_000))
    device = registry.device(f"speck+emu:?fault=unplug:{after}")
    for _ in range(2):
        with pytest.raises(DeviceLost):
            await play(device, edges(), data)
        await device.close()
    await device.open()
    await device.close()


async def test_a_chip_that_stalls_times_out_instead_of_hanging() -> None:
    data = packets(random_events(9_000, 16, 90_000))
    with pytest.raises(DeviceTimeout, match="did not come back"):
        await play("speck+emu:?fault=stall:10000&timeout=300ms", edges(), data)


async def test_a_board_in_use_is_busy_and_a_missing_one_is_not_found() -> None:
    with pytest.raises(DeviceBusy):
        await registry.device("speck+emu:?fault=busy").open()
    with pytest.raises(NotFound, match="none"):
        await registry.device("speck+emu:?fault=absent").open()
    with pytest.raises(NotFound, match="1234"):
        await registry.device("speck+emu:1234").open()
    for place in ("emulated", "1:1"):
        device = registry.device(f"speck+emu:{place}")
        await device.open()
        await device.close()


async def test_the_vendors_package_is_missed_by_name_only_when_a_board_is_opened() -> None:
    device = registry.device("speck+samna:")
    await device.plan(edges())
    assert "samna" not in sys.modules
    with pytest.raises(MissingDependency, match="samna"):
        await device.open()


async def test_the_vendors_stub_is_recognised_without_importing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """samna on PyPI is a package that runs pip when imported; a trap of the same shape stands in for it."""
    (tmp_path / "samna").mkdir()
    text = "PYPI_SAMNA = True\nraise SystemExit('the stub was imported')\n"
    (tmp_path / "samna" / "__init__.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingDependency, match="stub"):
        await registry.device("speck+samna:").open()
    assert "samna" not in sys.modules


async def test_leaky_neurons_lose_a_constant_per_tick_of_the_slow_clock() -> None:
    """Ten events of weight 1 at θ = 4, losing 1/2 per millisecond: with 5 ms between them nothing is left of one
    when the next comes. The leak begins with the run, `lead` before its first event."""
    network = chain((1, 1, 1), ("out", [dense(1, 1, 1.0)], neuron(threshold=4.0, decay=0.75)))
    for gap, fires in ((50, True), (5_000, False)):
        data = np.zeros(10, EVENT)
        data["t"] = 100 + gap * np.arange(10)
        found = await play("speck+emu:?leak=linear&lead=2ms", network, packets(data))
        assert (sum(counts(found["out"], 1)) > 0) == fires, gap
