from __future__ import annotations

import numpy as np
import pytest

from nrt.errors import ConfigError
from nrt.packet import EVENT, MEMBRANE, SPIKE, Packet, join, words


@pytest.mark.parametrize("dtype", [EVENT, SPIKE, MEMBRANE])
def test_records_are_16_bytes_and_viewable_as_words_without_a_copy(dtype: np.dtype[np.void]) -> None:
    records = np.zeros(5, dtype)
    records["t"] = [1, 2, 3, 4, 5]
    assert dtype.itemsize == 16
    view = words(records)
    assert view.shape == (5, 2)
    assert np.shares_memory(view, records)
    assert view[:, 0].tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "dtype",
    [
        [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "?")],  # tonic
        [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")],  # faery
        [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")],  # OpenEB
        [("timestamp", "<i8"), ("x", "<i2"), ("y", "<i2"), ("polarity", "<i1")],  # dv-processing
    ],
)
def test_the_common_layouts_become_events(dtype: list[tuple[str, str]]) -> None:
    array = np.zeros(2, dtype)
    names = [name for name, _ in dtype]
    t = next(name for name in ("t", "timestamp") if name in names)
    p = next(name for name in ("p", "on", "polarity") if name in names)
    array[t], array["x"], array["y"], array[p] = [10, 20], [1, 2], [3, 4], [0, 1]
    packet = Packet.from_array(array)
    assert (packet.start, packet.end) == (10, 21)
    assert packet.as_txyp().tolist() == [(10, 1, 3, 0), (20, 2, 4, 1)]


def test_signed_polarity_becomes_zero_and_one() -> None:
    array = np.zeros(2, [("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "<i1")])
    array["p"] = [-1, 1]
    assert Packet.from_array(array).data["p"].tolist() == [0, 1]


def test_an_array_with_a_missing_column_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="no column y"):
        Packet.from_array(np.zeros(1, [("t", "<i8"), ("x", "<u2"), ("p", "u1")]))


def test_unsorted_events_are_refused() -> None:
    array = np.zeros(2, EVENT)
    array["t"] = [5, 4]
    with pytest.raises(ConfigError, match="not in time order"):
        Packet.from_array(array)


def test_joining_keeps_the_16_bytes_that_numpy_would_pack_to_13() -> None:
    first, second = np.zeros(2, EVENT), np.ones(3, EVENT)
    joined = join([first, second])
    assert joined.dtype == EVENT
    assert words(joined).shape == (5, 2)
    assert joined["x"].tolist() == [0, 0, 1, 1, 1]
