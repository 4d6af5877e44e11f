from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nrt.errors import ConfigError
from nrt.network import Encoding
from nrt.network.encoding import volume
from nrt.packet import EVENT, Records


def events(*rows: tuple[int, int, int]) -> Records:
    out = np.zeros(len(rows), EVENT)
    out["x"], out["y"], out["p"] = np.array(rows).T
    return out


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (Encoding(), [0, 16 + 7, 16 + 4]),
        (Encoding(swap=True), [16, 7, 4]),
        (Encoding(polarity="merge"), [0, 7, 4]),
        (Encoding(polarity="on"), [-1, 7, 4]),
        (Encoding(polarity="off"), [0, -1, -1]),
        (Encoding(pool=2), [0, 16 + 1, 16]),
        (Encoding(crop=(0, 1, 4, 3)), [-1, 16 + 3, 16 + 0]),
    ],
)
def test_an_event_drives_the_neuron_that_the_encoding_says(encoding: Encoding, expected: list[int]) -> None:
    shape = (encoding.channels, 4, 4)
    assert encoding.index(events((0, 0, 0), (3, 1, 1), (0, 1, 1)), shape).tolist() == expected


def test_events_outside_the_input_are_told_from_those_left_out_on_purpose() -> None:
    encoding = Encoding(crop=(0, 0, 8, 8))
    assert encoding.index(events((5, 0, 0), (9, 0, 0)), (2, 4, 4)).tolist() == [-2, -1]


def test_a_sensor_that_does_not_fit_is_refused_with_what_would() -> None:
    with pytest.raises(ConfigError, match=r"1 channel.*fills 2; choose polarity merge, on or off"):
        Encoding().check((2, 4, 4), (1, 4, 4))
    with pytest.raises(ConfigError, match=r"346x260 pixels and the network sees 34x34; .* pool=11"):
        Encoding().check((2, 260, 346), (2, 34, 34))
    Encoding(pool=11).check((2, 260, 346), (2, 34, 34))
    Encoding(crop=(10, 10, 34, 34)).check((2, 260, 346), (2, 34, 34))


def test_every_shape_is_a_volume_of_three_dimensions() -> None:
    assert [volume(s) for s in [(5,), (4, 5), (3, 4, 5)]] == [(1, 1, 5), (1, 4, 5), (3, 4, 5)]
    with pytest.raises(ConfigError):
        volume((1, 2, 3, 4))


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        ({"pool": 0}, "pool is 0"),
        ({"crop": (0, 0, 0, 5)}, "crop is"),
        ({"polarity": "both"}, "polarity is 'both'; it can be split, merge, on, off"),
        ({"values": "rate"}, "values is 'rate'; it can be count, binary"),
    ],
)
def test_impossible_encodings_are_refused(choices: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        Encoding(**choices)
