"""Layers on cores: an assignment is found exactly where there is one."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nrt.errors import DoesNotFit, Unsupported
from nrt.network import Network
from nrt_drivers.speck.chip import Layer, cores
from nrt_drivers.speck.placement import crowded, place
from nrt_drivers.speck.planning import plan
from tests.unit.drivers.speck_networks import chain, conv, fire, layer


def _need(features: int, side: int, inputs: int, kernel: int) -> Layer:
    return layer(inputs=(inputs, side, side), outputs=(features, side, side), kernel=kernel)


NEEDS = st.builds(
    _need,
    st.sampled_from([1, 4, 16, 64]),
    st.sampled_from([4, 16, 32, 64]),
    st.sampled_from([1, 16, 64, 256]),
    st.sampled_from([1, 3, 8]),
)


@settings(max_examples=60)
@given(st.lists(NEEDS, min_size=1, max_size=5))
def test_a_placement_is_found_if_and_only_if_trying_every_order_of_cores_finds_one(
    layers: list[Layer],
) -> None:
    named = [_renamed(one, f"layer{k}") for k, one in enumerate(layers)]
    possible = any(
        all(one.fits(core) for one, core in zip(named, some, strict=True))
        for some in permutations(cores(), len(named))
    )
    found = place(named, [])
    assert bool(found) == possible
    assert len(set(found.values())) == len(found)
    for one in named if found else []:
        assert one.fits(cores()[found[one.name]])
    assert bool(crowded(named)) == (not possible)


def _renamed(one: Layer, name: str) -> Layer:
    return layer(name, inputs=one.inputs, outputs=one.outputs, kernel=one.kernel.shape[2])


def test_three_full_maps_and_a_wide_kernel_get_cores_0_to_2_and_one_with_64_ki() -> None:
    """The assignment {0: 0, 1: 1, 2: 2, 3: 5} is one that the vendor's mapper finds for such needs."""
    wide = layer("wide", inputs=(16, 16, 16), outputs=(11, 1, 1), kernel=16)
    full = [layer(f"full{k}", inputs=(16, 64, 64), outputs=(16, 64, 64)) for k in range(3)]
    found = place([*full, wide], ["full0"])
    assert {found[f"full{k}"] for k in range(3)} == {0, 1, 2}
    assert found["full0"] in (0, 1)
    assert found["wide"] in (5, 6)


def test_layers_that_want_the_same_cores_are_named_together() -> None:
    wide = [layer(f"wide{k}", inputs=(16, 16, 16), outputs=(11, 1, 1), kernel=16) for k in range(3)]
    small = [layer(f"small{k}") for k in range(2)]
    assert place([*small, *wide], []) == {}
    (violation,) = crowded([*small, *wide])
    assert violation.layer == "wide0, wide1, wide2"
    assert (violation.need, violation.have) == (3, 2)
    assert "5, 6" in violation.limit
    assert "65536 kernel" in violation.hint


def test_the_published_n_mnist_network_goes_on_five_cores(data: Path) -> None:
    network = Network.load(data / "nir" / "cnn_sinabs.nir")
    found = plan(network, leak="refuse", tick=0, spare=False)
    assert list(found.core_of) == ["1", "3", "6", "10", "12"]
    assert len(set(found.core_of.values())) == 5
    assert found.core_of["1"] in (0, 1)
    shapes = {each.name: (each.inputs, each.outputs) for each in found.lowered.layers}
    assert shapes["10"] == ((8, 4, 4), (256, 1, 1))
    assert [link.pooling for each in found.lowered.layers for link in each.links] == [1, 2, 2, 1]
    assert all(rounding.weight_rms < 0.02 for rounding in found.lowered.rounding)


def test_nine_layers_leave_no_core_for_the_markers_of_the_dvs_layer() -> None:
    stages = [(f"layer{k}", [conv(1, 1, 1)], fire()) for k in range(9)]
    network = chain((1, 8, 8), *stages)
    assert len(plan(network, leak="refuse", tick=0, spare=False).core_of) == 9
    with pytest.raises(Unsupported, match="input=spikes"):
        plan(network, leak="refuse", tick=0, spare=True)
    with pytest.raises(DoesNotFit, match="10"):
        more = chain((1, 8, 8), *stages, ("layer9", [conv(1, 1, 1)], fire()))
        plan(more, leak="refuse", tick=0, spare=False)
