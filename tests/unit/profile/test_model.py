"""Models of energy, reckoned by hand from Horowitz' table and Davies'; and what of a run they count."""

from __future__ import annotations

import numpy as np
import pytest

import nrt
from nrt import spec
from nrt.device import Counters
from nrt.errors import NotFound
from nrt.network import Conv, Dense, Network, Pool, Population, Projection, neuron
from nrt.packet import SPIKE
from nrt.profile.model import modelled
from nrt.profile.work import connections, work
from tests.fakes import Script

PJ = 1e-12


def network(**parameters: object) -> Network:
    """Four inputs, three integrate-and-fire neurons (or as `parameters` say), one readout that does not fire."""
    middle = neuron(**parameters)  # type: ignore[arg-type]  # parameters of neuron
    return Network(
        (
            Population("in", (4,)),
            Population("mid", (3,), middle),
            Population("out", (1,), neuron(spikes="none")),
        ),
        (
            Projection("in", "mid", (Dense(np.ones((3, 4))),)),
            Projection("mid", "out", (Dense(np.ones((1, 3))),), bias=np.ones(1)),
        ),
        ("in",),
        ("out",),
    )


COUNTED = Counters(steps=10, events=7, spikes={"mid": 5, "out": 0}, synops={"in → mid": 21, "mid → out": 5})


def test_additions_alone_cost_what_horowitz_says() -> None:
    """26 synaptic operations; in 10 steps 3 neurons add their input and compare, 1 adds its input, and 1 bias."""
    arithmetic, _ = modelled(network(), COUNTED)
    assert arithmetic.joules == pytest.approx((26 + 10 * (3 * 2 + 1 + 1)) * 0.9 * PJ)
    assert (arithmetic.kind, arithmetic.boundary) == ("modelled", "arithmetic only")
    assert "45 nm" in arithmetic.source
    assert "not this machine" in arithmetic.source


def test_a_leak_multiplies_and_a_synapse_doubles_it() -> None:
    leaky = work(network(decay=0.9), COUNTED)
    assert leaky.multiplies == 10 * 3
    synaptic = work(network(decay=0.9, synapse_decay=0.8), COUNTED)
    assert synaptic.multiplies == 10 * 3 * 3
    assert synaptic.adds - leaky.adds == 10 * 3
    assert synaptic.states - leaky.states == 10 * 3 * 2


def test_a_spike_that_is_a_number_is_multiplied_with_its_weight() -> None:
    graded = work(network(spikes="graded"), COUNTED)
    assert graded.multiplies == 5
    energy, _ = modelled(network(spikes="graded"), COUNTED)
    plain, _ = modelled(network(), COUNTED)
    assert energy.joules - plain.joules == pytest.approx(5 * 3.7 * PJ)


def test_memory_traffic_is_counted_in_words_and_costs_far_more_than_arithmetic() -> None:
    """Everything fits in 8 kB: 5 pJ for each word. 26 weights; sums read and written; updates; events and spikes."""
    arithmetic, whole = modelled(network(), COUNTED)
    states = 2 * 26 + 10 * 4 * 2
    assert whole.joules - arithmetic.joules == pytest.approx((26 + states + 2 * 12) * 5 * PJ)
    assert whole.boundary == "arithmetic and memory traffic"


def test_what_does_not_fit_into_a_cache_is_fetched_from_the_next_larger_memory() -> None:
    def wide(size: int) -> Network:
        return Network(
            (Population("in", (size,)), Population("out", (4,), neuron())),
            (Projection("in", "out", (Dense(np.ones((4, size))),)),),
            ("in",),
            ("out",),
        )

    counted = Counters(steps=1, synops={"in → out": 1000})

    def each(size: int) -> float:
        arithmetic, whole = modelled(wide(size), counted)
        done = work(wide(size), counted)
        cheap = 5 * PJ if size + 4 <= 2048 else 10 * PJ if size + 4 <= 8192 else 50 * PJ
        return (whole.joules - arithmetic.joules - (done.states + done.messages) * cheap) / done.weights

    assert each(512) == pytest.approx(5 * PJ)
    assert each(513) == pytest.approx(10 * PJ)
    assert each(2049) == pytest.approx(50 * PJ)
    assert each(65537) == pytest.approx(650 * PJ)


def test_computed_densely_every_synapse_is_a_multiply_accumulate_in_every_step() -> None:
    """4.6 pJ is what the papers take for one; updates as above."""
    arithmetic, whole = modelled(network(), COUNTED, dense=True)
    assert arithmetic.joules == pytest.approx(10 * 15 * 4.6 * PJ + 10 * 8 * 0.9 * PJ)
    assert "computed densely" in arithmetic.boundary
    words = 10 * (12 + 3 + 1) + 10 * 4 * 2 + 10 * (4 + 3 + 3 + 1)
    assert whole.joules - arithmetic.joules == pytest.approx(words * 5 * PJ)


def test_connections_are_counted_as_they_are_at_the_border_of_a_convolution() -> None:
    """3x3 on 4x4 with padding 1: 4 corners see 4, 8 edges 6, 4 inner ones 9."""
    conv = Network(
        (Population("in", (1, 4, 4)), Population("out", (1, 4, 4), neuron())),
        (Projection("in", "out", (Conv(np.ones((1, 1, 3, 3)), padding=(1, 1)),)),),
        ("in",),
        ("out",),
    )
    assert connections(conv, conv.projections[0]) == 4 * 4 + 8 * 6 + 4 * 9
    pool = Projection("in", "out", (Pool((2, 2), (2, 2)), Dense(np.ones((16, 4)))))
    assert connections(conv, pool) == 16 * 16


def test_the_constants_and_their_sources_are_printed_with_the_figure() -> None:
    arithmetic, whole = modelled(network(decay=0.9), COUNTED)
    text = "\n".join([*arithmetic.lines(), *whole.lines()])
    assert "26 synaptic operations, 40 neuron updates, 12 events and spikes" in text
    assert "fp32_add 0.9 pJ [horowitz: figure 1.1.9; pmc: table 3" in text
    assert "fp32_multiply 3.7 pJ" in text
    assert "sram_8k_read 10 pJ" in text
    assert "26 of weights in sram_8k" in text


def test_loihi_is_priced_by_what_was_published_of_it() -> None:
    """Davies 2018, table 2: 23.6 pJ a synaptic operation, 81 pJ an update of an active neuron, 1.7 pJ a spike."""
    synapses, whole = modelled(network(), COUNTED, ("loihi2",))
    assert synapses.joules == pytest.approx(26 * 23.6 * PJ)
    assert whole.joules == pytest.approx(26 * 23.6 * PJ + 40 * 81 * PJ + 12 * 1.7 * PJ)
    assert synapses.boundary == "synaptic operations only"
    assert "not measured on it" in synapses.source
    assert "before silicon" in "".join(synapses.notes)


def test_a_chip_of_which_only_its_rest_is_known_is_priced_by_the_time_it_was_on() -> None:
    """Yao 2024: 0.42 mW; the figure is a least one and stands beside the model in 45 nm."""
    rest, arithmetic, _ = modelled(network(), COUNTED, ("speck2f", "digital45"), seconds=2.0)
    assert rest.joules == pytest.approx(0.84e-3)
    assert "the least it takes" in rest.boundary
    assert arithmetic.boundary == "arithmetic only"
    assert len(modelled(network(), COUNTED, ("speck2f",))) == 0


def test_what_a_device_does_not_count_is_named() -> None:
    partial = Counters(steps=10, events=7, synops={"in → mid": 21})
    assert work(network(), partial).missing == ("mid → out",)
    arithmetic, _ = modelled(network(), partial)
    assert "the device does not count mid → out" in arithmetic.notes[0]


def test_nothing_counted_is_no_figure_rather_than_zero() -> None:
    assert modelled(network(), Counters(events=5)) == ()
    assert modelled(network(), Counters(events=5), ("loihi2",)) == ()


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(NotFound, match="no definition digital7"):
        modelled(network(), COUNTED, ("digital7",))


def test_the_tables_say_which_figures_were_not_checked() -> None:
    """Facts of the project: fp32, int32 and the caches were seen again in PMC8934428, the others were not."""
    rows = {row.operation: row.description for row in spec.load("digital45").energy}
    unchecked = {name for name, text in rows.items() if "not checked again" in text}
    assert unchecked == {
        "fp16_add", "fp16_multiply", "int8_add", "int8_multiply", "dram_read", "dram_read_most"
    }  # fmt: skip


async def test_a_report_has_both_models_of_every_run() -> None:
    data = np.zeros(4, SPIKE)
    data["t"], data["n"], data["v"] = [100, 200, 1100, 1200], [0, 1, 2, 3], 1
    async with nrt.open("reference:") as session:
        await session.deploy(network())
        report = await session.run(Script([nrt.Packet(data, 0, 2000, 0)]))
    assert [figure.boundary for figure in report.energy] == [
        "arithmetic only, computed densely",
        "arithmetic and memory traffic, computed densely",
    ]
    plain = report.to_dict()["energy"]
    assert plain[0]["net"] is None
    assert plain[0]["kind"] == "modelled"
    assert sum(name == "energy" for name, _ in report.rows()) == 2
