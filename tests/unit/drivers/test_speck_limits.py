"""The published limits, one by one. Numbers: Speck Development Kit datasheet v1.0 (2023), 3.2.4, tables 1 and 3."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from nrt.errors import DoesNotFit, Violation
from nrt.network.operators import Conv, Pool, array
from nrt_drivers.speck.chip import Link, cores
from nrt_drivers.speck.limits import violations
from nrt_drivers.speck.planning import plan
from tests.unit.drivers.speck_networks import chain, conv, dense, fire, layer


def found(tick: int = 0, entries: int = 1, count: int = 1, **changes: Any) -> list[Violation]:
    one = dataclasses.replace(layer(), **changes)
    return violations([one] * count, [Link("layer")] * entries, "input", tick)


def test_a_small_layer_exceeds_nothing() -> None:
    assert found() == []


def test_each_core_has_the_memories_of_table_1() -> None:
    assert [c.kernel // 1024 for c in cores()] == [16, 16, 16, 32, 32, 64, 64, 16, 16]
    assert [c.neurons // 1024 for c in cores()] == [64, 64, 64, 32, 32, 16, 16, 16, 16]
    assert [c.leak for c in cores()] == [1024] * 9


def test_the_datasheets_worked_example_needs_8_ki_kernel_and_128_ki_neuron_words() -> None:
    example = layer(inputs=(16, 64, 64), outputs=(32, 64, 64), kernel=3)
    assert example.kernel_words == 8 * 1024
    assert example.neuron_words == 128 * 1024
    (violation,) = violations([example], [Link("layer")], "input", 0)
    assert (violation.limit, violation.need, violation.have) == ("neuron words", 131_072, 65_536)


@pytest.mark.parametrize(
    ("limit", "need", "have", "changes"),
    [
        ("input height", 129, 128, {"inputs": (2, 129, 16)}),
        ("input width", 200, 128, {"inputs": (2, 16, 200)}),
        ("output height", 65, 64, {"outputs": (1, 65, 16)}),
        ("output width", 128, 64, {"outputs": (1, 16, 128)}),
        ("features", 1025, 1024, {"outputs": (1025, 1, 1)}),
        ("input features", 1100, 1024, {"inputs": (1100, 4, 4)}),
        ("kernel size", 17, 16, {"kernel": np.ones((4, 2, 17, 17), np.int64)}),
        ("padding in y", 8, 7, {"padding": (8, 0)}),
        ("padding in x", 9, 7, {"padding": (0, 9)}),
        ("stride in y", 3, 2, {"stride": (3, 1)}),
        ("stride in x", 16, 8, {"stride": (1, 16)}),
        ("largest weight", 128, 127, {"kernel": np.full((4, 2, 3, 3), 128)}),
        ("least weight", -129, -128, {"kernel": np.full((4, 2, 3, 3), -129)}),
        ("largest threshold or state", 32_768, 32_767, {"threshold": 32_768}),
        ("least threshold or state", -32_769, -32_768, {"floor": -32_769}),
        ("largest bias", 40_000, 32_767, {"bias": np.full(4, 40_000)}),
        ("lower threshold", 0, -1, {"floor": 0}),
        ("destinations", 3, 2, {"links": (Link("a"), Link("b"), Link("c"))}),
        ("pooling", 3, 2, {"links": (Link("a", 3),)}),
        ("kernel words", 131_072, 65_536, {"kernel": np.ones((1024, 128, 1, 1), np.int64)}),
        ("leak words", 1025, 1024, {"outputs": (1025, 1, 1), "bias": np.ones(1025, np.int64)}),
    ],
)
def test_every_limit_is_named_with_the_number_needed_and_the_number_there_is(
    limit: str, need: int, have: int, changes: dict[str, Any]
) -> None:
    match = [v for v in found(**changes) if v.limit == limit]
    assert [(v.need, v.have) for v in match] == [(need, have)]
    assert match[0].layer.startswith("layer")
    assert match[0].hint


def test_much_kernel_and_much_neuron_memory_do_not_meet_on_one_core() -> None:
    (violation,) = found(outputs=(8, 64, 64), inputs=(128, 64, 64), kernel=np.ones((8, 128, 8, 8), np.int64))
    assert (violation.need, violation.have) == (65_536, 32_768)
    assert violation.limit == "kernel words beside 32768 neuron words on one core"


@pytest.mark.parametrize(("tick", "have"), [(50, 10_000), (200_000, 10)])
def test_the_slow_clock_runs_between_10_hz_and_10_khz(tick: int, have: float) -> None:
    (violation,) = found(tick=tick)
    assert violation.have == have
    assert f"slow_clock={have:g}" in violation.hint


def test_the_input_has_two_destinations_and_the_chip_nine_cores() -> None:
    limits = {v.limit: (v.need, v.have) for v in found(entries=3, count=10)}
    assert limits["cores"] == (10, 9)
    assert limits["destinations"] == (3, 2)


def test_a_network_that_exceeds_several_limits_hears_of_all_of_them_at_once() -> None:
    network = chain(
        (2, 130, 130),
        ("first", [Conv(array(np.ones((4, 2, 3, 3))), stride=(3, 3), padding=(9, 9))], fire()),
        ("second", [Pool((3, 3), (3, 3)), conv(4, 4, 3)], fire()),
        ("third", [dense(10, 4 * 14 * 14)], fire()),
    )
    with pytest.raises(DoesNotFit) as caught:
        plan(network, leak="refuse", tick=0, spare=False)
    named = {(v.layer, v.limit) for v in caught.value.violations}
    assert ("first", "input height") in named
    assert ("first", "stride in x") in named
    assert ("first", "padding in y") in named
    assert ("first → second", "pooling") in named
    assert ("first → second", "rest of the map under pooling in y") in named
    assert all(v.hint for v in caught.value.violations)


def test_a_dense_layer_over_32_by_32_pixels_needs_a_kernel_of_32_and_pooling_makes_it_fit() -> None:
    """A small benchmark network of which the vendor's tools say the same: 16 384 → 11 is unmappable, pooled it is
    exactly 64 Ki kernel words."""
    first = ("first", [conv(16, 2, 3, padding=1)], fire())
    with pytest.raises(DoesNotFit) as caught:
        plan(
            chain((2, 32, 32), first, ("last", [dense(11, 16_384)], fire())),
            leak="refuse",
            tick=0,
            spare=False,
        )
    needs = {v.limit: v.need for v in caught.value.violations}
    assert needs == {"kernel size": 32, "kernel words": 262_144}
    pooled = chain((2, 32, 32), first, ("last", [Pool((2, 2), (2, 2)), dense(11, 4096)], fire()))
    placed = plan(pooled, leak="refuse", tick=0, spare=False)
    assert placed.layer("last").kernel_words == 65_536
    assert placed.core_of["last"] in (5, 6)
