"""What a step must cost is counted from the launches themselves; docs/gpu.md shows what the command prints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nrt.network import Dense, Network, Population, Projection, neuron
from nrt_sim.gpu.count import GPUS, Activity, Cost, costs, large, main, table

PAGE = Path(__file__).parents[3] / "docs" / "gpu.md"


def test_bytes_of_a_small_network_are_those_counted_by_hand() -> None:
    network = Network(
        (Population("input", (1, 8, 8)), Population("cells", (10,), neuron(decay=0.5))),
        (Projection("input", "cells", (Dense(np.ones((10, 64))),)),),
        ("input",),
        ("cells",),
    )
    found = {cost.kernel: cost for cost in costs(network, Activity(5, [4, 2], [40]))}
    assert list(found) == ["encode", "compact", "rows_sorted", "advance", "collect_spikes", "tick"]
    # four spikes of 8 bytes each in a list, a row number each, 40 weights, and ten sums written
    assert found["rows_sorted"].moved == 4 * 8 + 4 * 4 + 40 * 4 + 10 * 4
    assert found["rows_sorted"].operations == 80
    # a membrane read and written, a sum read; two spikes listed
    assert found["advance"].moved == 10 * (8 + 4) + 2 * 4


def test_a_floor_is_bound_by_whatever_takes_longest() -> None:
    h100 = GPUS[0]
    for cost, bound in ((Cost("k", "", 3.35e9, 1), "bytes"), (Cost("k", "", 1, 66.9e9), "operations")):
        seconds, by = cost.floor(h100)
        assert seconds == pytest.approx(1e-3 + 0.5e-6)
        assert by == bound
    assert Cost("k", "", 100, 100).floor(h100)[1] == "launch"


def test_the_page_shows_the_net_of_ten_million_neurons_as_it_is_counted() -> None:
    network, activity = large()
    assert network.neurons > 10_000_000
    *rows, total = table("", costs(network, activity)).splitlines()[2:]
    page = PAGE.read_text(encoding="utf-8").splitlines()
    for row in (*rows, total):
        assert row in page


def test_the_command_prints_every_net_of_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    """Which kernels each takes; how many bytes depends on the spikes of a run, which processors round otherwise."""

    def columns(text: str) -> list[list[str]]:
        lines = text.splitlines()
        return [
            [line] if line.startswith("net ") else line[:42].split()
            for line in lines
            if line.startswith(("net ", "encode", "compact", "patch", "rows", "advance", "collect", "tick"))
            or line[:2].strip().isdigit()
        ]

    main([])
    printed = columns(capsys.readouterr().out)
    assert sum(line[0].startswith("net ") for line in printed) == 5
    shown = columns("\n".join(PAGE.read_text(encoding="utf-8").split("```")[1::2]))
    assert len(shown) > 40
    assert all(line in printed for line in shown)
