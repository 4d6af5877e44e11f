"""Frames: published stuffing examples, and what damage does to them."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.bridge.frame import Deframer, frame, stuff, unstuff
from nrt.bridge.words import BRIDGE, HEADER, LINK, OPEN

RISING = bytes(range(1, 256))

# Wikipedia, "Consistent Overhead Byte Stuffing", encoding examples 1 to 11 (without the delimiter), which follow
# Cheshire and Baker 1999, section 3.
EXAMPLES = [
    ("00", "01 01"),
    ("00 00", "01 01 01"),
    ("00 11 00", "01 02 11 01"),
    ("11 22 00 33", "03 11 22 02 33"),
    ("11 22 33 44", "05 11 22 33 44"),
    ("11 00 00 00", "02 11 01 01 01"),
    (RISING[:254].hex(), "ff" + RISING[:254].hex()),
    ("00" + RISING[:254].hex(), "01 ff" + RISING[:254].hex()),
    (RISING.hex(), "ff" + RISING[:254].hex() + "02 ff"),
    (RISING[1:].hex() + "00", "ff" + RISING[1:].hex() + "01 01"),
    (RISING[2:].hex() + "00 01", "fe" + RISING[2:].hex() + "02 01"),
]


@pytest.mark.parametrize(("plain", "stuffed"), EXAMPLES)
def test_stuffing_is_as_published(plain: str, stuffed: str) -> None:
    assert stuff(bytes.fromhex(plain)) == bytes.fromhex(stuffed)
    assert unstuff(bytes.fromhex(stuffed)) == bytes.fromhex(plain)


def test_the_checksum_is_the_one_of_the_definition() -> None:
    """The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRC algorithms."""
    assert zlib.crc32(b"123456789") == 0xCBF43926 == BRIDGE.checksum.integer("check")


@given(st.binary(max_size=600))
def test_stuffed_bytes_hold_no_zero_and_come_back(data: bytes) -> None:
    assert 0 not in stuff(data)
    assert unstuff(stuff(data)) == data


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8), st.integers(1, 7))
def test_frames_arrive_in_whatever_pieces_the_line_makes(bodies: list[bytes], piece: int) -> None:
    line = b"".join(map(frame, bodies))
    deframer = Deframer()
    got = [body for at in range(0, len(line), piece) for body in deframer.feed(line[at : at + piece])]
    assert got == bodies
    assert deframer.corrupt == 0


@given(st.binary(max_size=200), st.data())
def test_one_damaged_byte_costs_at_most_the_frames_that_it_touches(body: bytes, data: st.DataObject) -> None:
    first, second, third = (frame(bytes([k]) + body) for k in (1, 2, 3))
    at = data.draw(st.integers(0, len(second) - 1))
    wrong = data.draw(st.integers(1, 255))
    damaged = second[:at] + bytes([second[at] ^ wrong]) + second[at + 1 :]
    deframer = Deframer()
    got = deframer.feed(first + damaged + third)
    assert got[0] == b"\x01" + body
    assert b"\x02" + body not in got
    assert got[-1] == b"\x03" + body or at == len(second) - 1
    assert deframer.corrupt >= 1


@given(st.binary(max_size=3000))
def test_any_bytes_are_survived_and_the_next_frame_is_found(noise: bytes) -> None:
    deframer = Deframer()
    got = deframer.feed(noise + b"\0" + frame(b"after"))
    assert got[-1] == b"after"


def test_a_line_without_an_end_is_not_kept() -> None:
    deframer = Deframer()
    for _ in range(100):
        assert deframer.feed(b"\x55" * 10_000) == []
    assert deframer.feed(b"\0" + frame(b"after")) == [b"after"]
    assert deframer.oversize == 1_000_000
    assert deframer.corrupt == 1


def test_the_longest_message_fits_in_the_longest_frame() -> None:
    body = b"\x01" * (BRIDGE.record("header").size + BRIDGE.framing.integer("max_payload_bytes"))
    assert len(frame(body)) - 1 == BRIDGE.limit("frame_bytes")
    assert Deframer().feed(frame(body)) == [body]


def test_the_worked_examples_of_the_page_are_what_is_sent() -> None:
    page = (Path(__file__).parents[3] / "docs" / "aer-bridge.md").read_text(encoding="utf-8")
    opening = re.search(r"An `open` frame.*?```\n(.*?)\n```", page, re.DOTALL)
    assert opening is not None
    header = HEADER.pack(kind=OPEN, session=42, sequence=0, acknowledge=0, credit=0)
    assert bytes.fromhex(opening[1]) == frame(header + LINK.pack(window=16, payload=1024))
    shown = re.findall(r"^\| `((?:[0-9A-F]{2} ?){4})` \| (?!message)", page, re.MULTILINE)
    words = [int.from_bytes(bytes.fromhex(each), "little") for each in shown]
    kinds = BRIDGE.kinds("events").classify(np.array(words, np.uint32))
    assert kinds.tolist() == [0, 2, 1, 3]
