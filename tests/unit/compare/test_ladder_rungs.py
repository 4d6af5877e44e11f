"""Rungs of the chips: each is what its name says, and the last that is a network computes what the chip does."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

import nrt
from nrt import registry
from nrt.compare.ladder_networks import alike, altered, changed
from nrt.compare.recorded import Recorded, Replay
from nrt.device import Rung
from nrt.errors import DoesNotFit, Unsupported
from nrt.network import Network, neuron
from nrt.network.quantise import integers
from nrt.packet import SPIKE
from nrt.testing.stimulus import small
from nrt_drivers.speck.lower import lower
from nrt_sim.models import digits
from tests.unit.compare.ladder_cases import chain, drawn

CHIPS = ("speck+emu:?leak=linear", "tinyodin+emu:", "loihi2+sim:")


def rungs(uri: str, network: Network) -> dict[str, Rung]:
    return {rung.name: rung for rung in registry.device(uri).rungs(network)}


def float_network(seed: int = 3, *, decay: float = 0.9) -> Network:
    """Two layers whose weights no chip holds exactly."""
    random = np.random.default_rng(seed)
    first, second = random.normal(0.4, 0.5, (6, 8)), random.normal(0.4, 0.5, (4, 6))
    return chain(8, ("l1", first, neuron(decay=decay)), ("l2", second, neuron(decay=decay, threshold=1.3)))


def one_to_one(*, decay: float) -> Network:
    """Every pixel drives one neuron, and nothing inhibits: one event to a step is one event to every neuron."""
    random = np.random.default_rng(4)
    first = np.zeros((6, 8))
    first[np.arange(8) % 6, np.arange(8)] = random.uniform(0.3, 1.1, 8)
    return chain(
        8,
        ("l1", first, neuron(decay=decay)),
        ("l2", random.uniform(0.1, 0.7, (4, 6)), neuron(decay=decay, threshold=1.3)),
    )


async def spikes(uri: str, network: Network, seed: int = 1) -> list[tuple[int, int, int]]:
    """(step, n, v) of the outputs."""
    (case,) = drawn(1, 8, seed=seed)
    assert isinstance(case.source, Recorded)
    found: list[tuple[int, int, int]] = []
    async with asyncio.timeout(60), nrt.open(uri) as session:
        await session.deploy(network)
        async with session.stream(Replay(case.source)) as run:
            async for packet in run:
                if packet.data.dtype == SPIKE:
                    found += [(t // network.semantics.dt, n, v) for t, n, v in packet.data.tolist()]
    return sorted(found)


@pytest.mark.parametrize("uri", CHIPS)
def test_the_way_begins_with_the_network_and_ends_at_the_device(uri: str) -> None:
    network = float_network()
    found = registry.device(uri).rungs(network)
    assert found[0].network is network
    assert (found[0].name, found[0].on) == ("float", "cpu:")
    assert found[-1].on == uri
    assert found[-1].network.hash == network.hash
    assert len({rung.name for rung in found}) == len(found)


@pytest.mark.parametrize("uri", CHIPS)
def test_networks_between_are_alike_so_that_changes_can_be_moved_from_one_to_another(uri: str) -> None:
    soft = [rung for rung in registry.device(uri).rungs(float_network())[1:] if rung.on == "cpu:"]
    assert [rung.name for rung in soft][:1] == ["folding"]
    assert all(alike(soft[0].network, rung.network) for rung in soft)
    assert {"weights", "state"} <= {rung.name for rung in soft}


@pytest.mark.parametrize("uri", CHIPS)
async def test_folding_changes_no_spike(uri: str) -> None:
    network = float_network()
    folding = rungs(uri, network)["folding"].network
    exact = await spikes("reference:", network)
    assert exact
    assert await spikes("reference:", folding) == exact


@pytest.mark.parametrize("uri", CHIPS)
def test_the_rung_of_the_weights_makes_them_whole_and_leaves_the_rest(uri: str) -> None:
    found = rungs(uri, float_network())
    below = found.get("leak", found["folding"]).network
    rounded = found["weights"].network
    for before, after in zip(below.projections, rounded.projections, strict=True):
        (old,), (new,) = before.operators, after.operators
        scale = 2.0 ** np.floor(np.log2(np.abs(new.weight).max())) / 128  # type: ignore[union-attr]
        assert np.array_equal(new.weight / scale, np.round(new.weight / scale))  # type: ignore[union-attr]
        assert np.abs(new.weight - old.weight).max() > 0  # type: ignore[union-attr]
    assert changed(below, below, rounded).hash == rounded.hash
    assert all(
        np.array_equal(below[name].neuron.threshold, rounded[name].neuron.threshold)  # type: ignore[union-attr]
        for name in ("l1", "l2")
    )


@pytest.mark.parametrize("uri", ["speck+emu:", "tinyodin+emu:"])
async def test_with_one_event_to_a_step_the_last_network_does_what_the_chip_does(uri: str) -> None:
    network = one_to_one(decay=1.0)
    state = rungs(uri, network)["state"].network
    chip = await spikes(uri, network)
    assert len(chip) > 20
    assert [n for _, n, _ in await spikes("reference:", state)] == [n for _, n, _ in chip]


async def test_on_tinyodin_a_constant_leak_is_a_network_where_nothing_inhibits() -> None:
    network = one_to_one(decay=0.8)
    found = rungs("tinyodin+emu:", network)
    chip = await spikes("tinyodin+emu:", network)
    assert "leak" in found
    assert len(chip) > 10
    assert await spikes("reference:", found["state"].network) == chip


def test_on_tinyodin_a_leak_among_inhibition_comes_with_the_chip_and_that_is_said() -> None:
    found = rungs("tinyodin+emu:", float_network(decay=0.6))
    assert "leak" not in found
    assert "in l1, l2 the leak is constant and ends at 0 from both sides" in found["order"].what


async def test_on_tinyodin_a_leak_that_rounds_to_nothing_is_gone_from_the_network_too() -> None:
    weights = np.random.default_rng(8).normal(0.2, 0.6, (6, 8))
    network = chain(8, ("l1", weights, neuron(decay=0.999)))
    state = rungs("tinyodin+emu:", network)["state"].network
    cells = state["l1"].neuron
    assert cells is not None
    assert (float(cells.decay), float(cells.drive)) == (1.0, 0.0)
    chip = await spikes("tinyodin+emu:", network)
    assert len(chip) > 20
    assert await spikes("reference:", state) == chip


async def test_on_loihi_what_remains_after_the_delays_is_the_truncation_of_decays() -> None:
    """Without any decay no product is cut off, so the last network is the chip's arithmetic, spike by spike."""
    network = float_network(decay=1.0)
    found = rungs("loihi2+sim:", network)
    chip = await spikes("loihi2+sim:", network)
    assert len(chip) > 20
    assert await spikes("reference:", found["delays"].network) == chip
    assert await spikes("reference:", found["state"].network) != chip


def test_what_is_exact_already_is_rounded_by_no_rung() -> None:
    network = small()
    for uri in ("tinyodin+emu:", "loihi2+sim:"):
        found = rungs(uri, network)
        below = found["folding"].network
        assert all(
            not np.any(a.operators[0].weight != b.operators[0].weight)  # type: ignore[union-attr]
            for a, b in zip(below.projections, found["weights"].network.projections, strict=True)
        )


def test_the_speck_rungs_are_the_networks_of_its_lowering() -> None:
    network = Network.load(digits())
    found = rungs("speck+emu:?leak=linear", network)
    assert list(found) == ["float", "folding", "leak", "weights", "state", "order", "link"]
    lowered = lower(network, leak="linear").network
    assert found["state"].network.hash == lowered.hash
    assert found["order"].on == "speck+emu:?leak=linear&synop_ns=0.001&fifo=4096&power=0"


def test_a_slower_clock_keeps_the_time_step_of_the_network_and_spreads_its_drive() -> None:
    network = Network.load(digits())
    found = rungs("speck+emu:?leak=linear&slow_clock=100", network)
    state, lowered = found["state"].network, lower(network, leak="linear", tick=10_000).network
    assert state.semantics.dt == network.semantics.dt == 1_000
    mine, whole = state["lif1"].neuron, lowered["lif1"].neuron
    assert mine is not None
    assert whole is not None
    assert float(mine.drive) == pytest.approx(float(whole.drive) / 10)


def test_a_kit_has_the_emulated_one_between_and_its_dropping_options_only_from_there() -> None:
    network = float_network()
    found = rungs("speck+samna:?leak=none&balancer=yes", network)
    assert [(r.name, r.on) for r in found.values()][-3:] == [
        ("order", "speck+emu:?leak=none&synop_ns=0.001&fifo=4096&power=0"),
        ("link", "speck+emu:?leak=none&balancer=yes"),
        ("device", "speck+samna:?leak=none&balancer=yes"),
    ]


def test_cores_know_what_they_are_taken_to_do_per_second() -> None:
    link = rungs("speck+emu:?leak=linear&synop_ns=20", float_network())["link"]
    assert set(link.capacity) == {"l1", "l2"}
    assert set(link.capacity.values()) <= {50e6, 100e6}


def test_a_network_that_the_device_refuses_has_no_rungs() -> None:
    with pytest.raises(Unsupported, match="decays exponentially"):
        rungs("speck+emu:", float_network())
    with pytest.raises(DoesNotFit):
        rungs("tinyodin+emu:", chain(300, ("l1", np.ones((4, 300)), neuron())))


def test_a_device_that_names_no_steps_has_the_first_and_the_last() -> None:
    found = registry.device("reference:").rungs(float_network())
    assert [(rung.name, rung.on) for rung in found] == [("float", "cpu:"), ("device", "reference:")]


# ------------------------------------------------------------------------------------ moving changes about


def test_a_change_in_one_layer_leaves_the_others_as_they_were() -> None:
    found = rungs("speck+emu:?leak=linear", float_network())
    below, above = found["leak"].network, found["weights"].network
    assert altered(below, above) == ("l1", "l2")
    one = changed(below, below, above, ["l2"])
    assert altered(below, one) == ("l2",)
    assert altered(above, one) == ("l1",)
    assert changed(one, below, above, ["l1"]).hash == above.hash


def test_a_change_is_added_where_another_was_made_before() -> None:
    """State rounds the drive that the leak made: alone, in the float network, only what rounding moved remains."""
    found = rungs("speck+emu:?leak=linear", float_network())
    base, below, above = (found[name].network for name in ("folding", "weights", "state"))
    alone = changed(base, below, above)
    cells = [each["l1"].neuron for each in (base, below, above, alone)]
    assert all(cell is not None for cell in cells)
    drive = [float(cell.drive) for cell in cells if cell is not None]
    assert drive[0] == 0
    assert abs(drive[3]) == pytest.approx(abs(drive[2] - drive[1]))
    assert abs(drive[3]) <= 0.5
    assert cells[3] is not None
    assert float(cells[3].decay) == 0.9


def test_networks_of_another_make_are_not_alike() -> None:
    assert not alike(float_network(), small())
    assert not alike(float_network(), chain(8, ("l1", np.ones((6, 8)), neuron())))
    whole = integers(float_network(decay=1.0)).network
    assert alike(whole, float_network(decay=1.0))
