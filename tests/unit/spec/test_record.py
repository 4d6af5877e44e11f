from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nrt.errors import ConfigError
from nrt.spec.record import Member, Record


def header() -> Record:
    return Record(
        "header",
        (
            Member("magic", "u16", 2, match=0x4E52),
            Member("kind", "u8", 1),
            Member("time", "i64", 8),
            Member("gain", "f32", 4),
            Member("serial", "bytes", 6),
        ),
        "big",
    )


@given(
    st.integers(0, 255),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(width=32, allow_nan=False),
    st.binary(max_size=6),
)
def test_a_record_lies_as_struct_packs_it(kind: int, time: int, gain: float, serial: bytes) -> None:
    packed = header().pack(kind=kind, time=time, gain=gain, serial=serial)
    assert packed == struct.pack(">HBqf6s", 0x4E52, kind, time, gain, serial)
    unpacked = header().unpack(packed)
    assert unpacked == {"kind": kind, "time": time, "gain": gain, "serial": serial.ljust(6, b"\0")}
    assert header().integers(packed) == {"kind": kind, "time": time}


def test_many_records_are_one_array_without_a_copy() -> None:
    data = b"".join(header().pack(kind=i, time=-i, gain=0, serial=b"") for i in range(3))
    rows = header().array(data)
    assert rows["time"].tolist() == [0, -1, -2]
    assert rows.dtype.itemsize == header().size == 21
    assert not rows.flags.owndata
    with pytest.raises(ConfigError, match="64 bytes are no whole number of header records of 21"):
        header().array(data + b"x")


def test_values_that_do_not_fit_are_named() -> None:
    good: dict[str, int | float | bytes] = {"kind": 1, "time": 0, "gain": 0.5, "serial": b""}
    cases: list[tuple[str, int | float | bytes, str]] = [
        ("kind", 256, "outside 0 to 255"),
        ("time", 2**63, "outside"),
        ("serial", b"1234567", "not at most 6 bytes"),
        ("gain", b"", "no number"),
        ("kind", 1.5, "outside"),
        ("gain", 1e300, "header"),
    ]
    for name, wrong, said in cases:
        with pytest.raises(ConfigError, match=said):
            header().pack(**(good | {name: wrong}))
    with pytest.raises(ConfigError, match="needs a value for kind"):
        header().pack(time=0, gain=0, serial=b"")
    with pytest.raises(ConfigError, match="has no colour, magic to set"):
        header().pack(**good, colour=1, magic=1)


def test_a_cut_record_and_a_wrong_constant_are_refused() -> None:
    packed = header().pack(kind=1, time=0, gain=0, serial=b"")
    with pytest.raises(ConfigError, match="header has 21 bytes, there are only 20"):
        header().unpack(packed[:-1])
    with pytest.raises(ConfigError, match=r"header\.magic is not 0x4e52"):
        header().unpack(b"\0" + packed[1:])


def test_offsets_are_those_of_the_dtype() -> None:
    offsets = header().dtype.fields
    assert offsets is not None
    assert {name: header().offset(name) for name in offsets} == {
        name: row[1] for name, row in offsets.items()
    }
    assert header().pack(kind=np.uint8(3), time=0, gain=0, serial=b"")[2] == 3
