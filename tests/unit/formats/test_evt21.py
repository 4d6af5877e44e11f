"""EVT2.1 in both byte orders: the words, the choice of the order, against a plain reading of the format."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nrt.errors import ConfigError
from nrt.formats.evt21 import Evt21Decoder, Evt21Recording, Evt21Writer
from tests.unit.formats.streams import Rows, decoded, events, pieces, recorded, rows, write_bytes

ORDERS: list[Literal["little", "legacy"]] = ["little", "legacy"]


def high(units: int) -> int:
    return 8 << 60 | units << 32


def cd(low: int, x: int, y: int, p: int, bits: int) -> int:
    return p << 60 | low << 54 | x << 43 | y << 32 | bits


def stored(words: NDArray[np.uint64], order: str) -> bytes:
    """The words as bytes: the 0x0102030405060708 of the documentation becomes 04 03 02 01 08 07 06 05 in legacy."""
    return (
        (words if order == "little" else words >> np.uint64(32) | words << np.uint64(32))
        .astype("<u8")
        .tobytes()
    )


def reference(words: NDArray[np.uint64]) -> tuple[Rows, list[tuple[int, int, int]]]:
    """The format read word by word, in the plainest way: events and triggers (t, id, value)."""
    found: Rows = []
    triggers: list[tuple[int, int, int]] = []
    loops = now = 0
    timed = False
    for word in words.tolist():
        kind = word >> 60
        if kind == 8:
            value = word >> 32 & 0xFFFFFFF
            loops += timed and now - value > 1 << 27
            now, timed = value, True
        if not timed:
            continue
        t = (loops << 34) + (now << 6) + (word >> 54 & 63)
        if kind < 2:
            x, y = word >> 43 & 0x7FF, word >> 32 & 0x7FF
            found += [(t, x + i, y, kind) for i in range(32) if word >> i & 1]
        elif kind == 10:
            triggers.append((t, word >> 40 & 31, word >> 32 & 1))
    return found, triggers


def random_words(seed: int, count: int) -> NDArray[np.uint64]:
    random = np.random.default_rng(seed)
    words = random.integers(0, 1 << 61, count).astype(np.uint64)
    lone = random.random(count) < 0.5
    words[lone] = words[lone] >> np.uint64(32) << np.uint64(32) | np.uint64(1) << random.integers(
        0, 32, int(lone.sum())
    ).astype(np.uint64)
    other = random.random(count) < random.choice([0.05, 0.5])
    words[other] = random.integers(0, 1 << 64, int(other.sum()), np.uint64)
    return words


def test_the_legacy_order_is_that_of_the_documentation() -> None:
    assert stored(np.array([0x0102030405060708], np.uint64), "legacy").hex() == "0403020108070605"


@pytest.mark.parametrize("order", ORDERS)
def test_a_word_yields_an_event_per_set_bit(order: Literal["little", "legacy"]) -> None:
    words = np.array([cd(0, 0, 0, 0, 1), high(2), cd(5, 64, 9, 1, 0x80000101), cd(6, 96, 9, 0, 0)], np.uint64)
    t = 2 * 64 + 5
    assert decoded(Evt21Decoder(order), [stored(words, order)]) == [
        (t, 64, 9, 1),
        (t, 72, 9, 1),
        (t, 95, 9, 1),
    ]


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, 1 << 32),
    st.integers(0, 1500),
    st.sampled_from([5, 8, 130, 1 << 20]),
    st.sampled_from(ORDERS),
)
def test_any_words_in_any_pieces_decode_as_the_format_says(
    seed: int, count: int, size: int, order: Literal["little", "legacy"]
) -> None:
    words = random_words(seed, count)
    expected, triggers = reference(words)
    decoder = Evt21Decoder(order)
    assert decoded(decoder, pieces(stored(words, order), size)) == expected
    assert decoder.triggers().tolist() == triggers


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "header",
    [
        "% evt 2.1\n% endianness {order}\n% end\n",
        "% format EVT21;endianness={order};height=720;width=1280\n% endianness nonsense\n% end\n",
        "% evt 2.1\n",
        "",
    ],
)
def test_the_byte_order_comes_from_the_header_or_from_the_words(
    tmp_path: Path, order: Literal["little", "legacy"], header: str
) -> None:
    words = np.array([high(2), cd(5, 64, 9, 1, 3), high(3), cd(5, 32, 700, 0, 0x10000)], np.uint64)
    path = write_bytes(tmp_path / "a.raw", header.format(order=order), stored(words, order))
    with Evt21Recording(path) as recording:
        assert recorded(recording) == reference(words)[0]
        assert recording.format == ("EVT2.1" if order == "little" else "EVT2.1 legacy")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("% camera_integrator_name Prophesee\n% system_ID 54\n% evt 2.1\n% end\n", "EVT2.1 legacy"),
        ("% camera_integrator_name Prophesee\n% system_ID 55\n% evt 2.1\n% end\n", "EVT2.1"),
        ("% camera_integrator_name Somebody\n% system_ID 48\n% evt 2.1\n% end\n", "EVT2.1"),
        ("% evt 2.1\n% end\n", "EVT2.1"),
    ],
)
def test_without_telling_words_the_camera_decides(tmp_path: Path, header: str, name: str) -> None:
    with Evt21Recording(write_bytes(tmp_path / "a.raw", header, b"")) as recording:
        assert recording.format == name


@pytest.mark.parametrize("order", ORDERS)
def test_neighbours_of_a_row_are_written_as_one_word(
    tmp_path: Path, order: Literal["little", "legacy"]
) -> None:
    path = tmp_path / "run.raw"
    run = events(*[(5, x, 9, 1) for x in range(60, 80)])
    with Evt21Writer(path, (2, 480, 640), endianness=order) as writer:
        writer.write(run)
    expected = np.array([high(0), cd(5, 32, 9, 1, 0xF0000000), cd(5, 64, 9, 1, 0xFFFF)], np.uint64)
    assert path.read_bytes().endswith(b"% end\n" + stored(expected, order))
    with Evt21Recording(path) as recording:
        assert recorded(recording) == rows(run)


def test_an_unknown_byte_order_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'little' or 'legacy', not 'big'"):
        Evt21Writer(tmp_path / "a.raw", (2, 480, 640), endianness="big")  # type: ignore[arg-type]
