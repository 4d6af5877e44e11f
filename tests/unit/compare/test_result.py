from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from nrt.compare import Comparison, compare
from nrt.device import Device
from nrt.errors import ConfigError
from tests.unit.compare.devices import Changed, delayed, network, recording, silence, weighted


@pytest.fixture(scope="module")
def result() -> Comparison:
    devices: list[str | Device] = [
        "nothing:",
        "reference:",
        Changed(weighted(0, 3, 1, -8.0)),
        Changed(delayed(1), shows=[]),
    ]
    sources = [recording(0), silence(), recording(1)]
    return asyncio.run(asyncio.wait_for(compare(network(), sources, devices), 60))


def test_a_comparison_survives_json(result: Comparison) -> None:
    text = result.to_json()
    assert Comparison.from_dict(json.loads(text)) == result
    assert Comparison.from_dict(json.loads(text)).to_json() == text


def test_it_says_what_it_depended_on(result: Comparison) -> None:
    assert result.network["hash"] == network().hash
    assert result.semantics["dt"] == 1_000
    assert result.encoding["polarity"] == "merge"
    assert all(len(each.hash) == 64 for each in result.recordings)
    assert {"nrt", "numpy"} <= set(result.versions)
    assert result.host["cpu"]


def test_its_text_has_every_device_and_the_first_difference(result: Comparison) -> None:
    text = str(result)
    for word in ("nothing: did not run", "changed: against reference:", "first difference: hidden neuron 3"):
        assert word in text
    assert "hidden: only reference: shows it" in text
    assert "membrane on reference:" in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "nrt report 1"}, "no comparison"),
        ({"devices": 5}, "devices must be a list"),
        ({"pairs": [{"first": "one", "second": 1}]}, r"pairs\[0\].first is 'one'; it must be int"),
        ({"options": {"jobs": 0}}, "jobs is 0"),
        ({"recordings": [{"uri": "a"}]}, r"recordings\[0\].name is missing"),
        ({"rasters": [[]]}, r"rasters\[0\] must be an object"),
        ({"started": None}, "started is None; it must be str"),
    ],
)
def test_a_document_that_says_something_else_is_refused_with_the_place(
    result: Comparison, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        Comparison.from_dict({**result.to_dict(), **change})


def test_what_is_no_document_is_refused() -> None:
    wrongs: tuple[object, ...] = (None, [1], "text", 3)
    for wrong in wrongs:
        with pytest.raises(ConfigError, match="no comparison"):
            Comparison.from_dict(wrong)
