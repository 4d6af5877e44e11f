from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nrt
from nrt.errors import (
    ConfigError,
    DeviceBusy,
    DeviceError,
    DoesNotFit,
    NrtError,
    ProtocolError,
    Unsupported,
    Violation,
)
from nrt.mqtt import codec, link, networks
from nrt.mqtt.codec import Gaps
from nrt.mqtt.link import Kind, Note, Order
from nrt.mqtt.topics import Topics, escape, node_of, unescape
from nrt.packet import EVENT, MEMBRANE, SPIKE, Packet, Records
from nrt.testing.stimulus import small
from tests.unit.mqtt.conftest import DIGITS


def spikes(*rows: tuple[int, int, int]) -> Records:
    return np.array(list(rows), SPIKE)


def test_the_header_has_24_bytes_in_the_documented_order() -> None:
    data = codec.encode(spikes((1_000_005, 7, -2)), base=1_000_000, sequence=9, spec=0x04030201)
    # written by hand from docs/mqtt.md: magic, version, kind, hash, sequence, base, count, then t, n, v
    header = b"nS\x01\x00" + b"\x01\x02\x03\x04" + b"\x09\0\0\0" + b"\x40\x42\x0f\0\0\0\0\0" + b"\x01\0\0\0"
    assert data == header + b"\x05\0\0\0" + b"\x07\0\0\0" + b"\xfe\xff\xff\xff"
    assert len(header) == 24


@given(
    st.sampled_from([SPIKE, EVENT, MEMBRANE]),
    st.lists(st.integers(0, 2**33), max_size=20),
    st.integers(-(2**40), 2**40),
)
def test_records_come_back_as_they_were(dtype: np.dtype[np.void], times: list[int], base: int) -> None:
    records = np.zeros(len(times), dtype)
    records["t"] = np.sort(np.array(times, np.int64)) + base
    for k, name in enumerate((dtype.names or ())[1:]):
        records[name] = np.arange(len(times)) * (k + 1) % 200
    block = codec.decode(codec.encode(records, base=base, sequence=3, spec=4))
    assert block.records.dtype == dtype
    assert block.records.tolist() == records.tolist()
    assert (block.base, block.sequence, block.spec) == (base, 3, 4)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_block_or_a_protocol_error(data: bytes) -> None:
    for payload in (data, b"nS\x01" + data):
        try:
            block = codec.decode(payload)
        except ProtocolError:
            continue
        assert len(block.records) <= len(payload) // 12


@given(
    st.integers(0, 255), st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=64)
)
def test_any_header_is_a_block_or_a_protocol_error(kind: int, count: int, base: int, body: bytes) -> None:
    payload = codec.HEADER.pack(b"nS", 1, kind, 0, 0, base, count) + body
    try:
        times = codec.decode(payload).records["t"]
    except ProtocolError:
        return
    assert bool(np.all(times[1:] >= times[:-1]))


def test_a_count_larger_than_the_message_is_refused_before_anything_is_allocated() -> None:
    payload = codec.HEADER.pack(b"nS", 1, 0, 0, 0, 0, 2**32 - 1)
    with pytest.raises(ProtocolError, match="4294967295 records"):
        codec.decode(payload)


def test_records_that_run_backwards_are_refused() -> None:
    body = struct.pack("<IIiIIi", 5, 0, 1, 4, 0, 1)
    with pytest.raises(ProtocolError, match="time order"):
        codec.decode(codec.HEADER.pack(b"nS", 1, 0, 0, 0, 0, 2) + body)


def test_other_records_are_not_sent() -> None:
    with pytest.raises(ConfigError, match="EVENT, SPIKE and MEMBRANE"):
        codec.encode(np.zeros(1, [("t", "<i8")]), base=0)


def test_gaps_count_what_is_missing_and_survive_the_turn_of_the_counter() -> None:
    gaps = Gaps()
    assert [gaps.seen(n) for n in (2**32 - 2, 2**32 - 1, 0, 3, 4)] == [0, 0, 0, 2, 0]
    assert gaps.lost == 2
    assert gaps.seen(0) == 0, "a node that restarts counts from 0"


@given(st.text(min_size=1, max_size=30))
def test_a_name_is_one_level_of_a_topic_and_comes_back(name: str) -> None:
    try:
        level = escape(name)
    except UnicodeEncodeError:
        return  # a lone surrogate is no name
    assert not set(level) & set("/+#")
    assert unescape(level) == name


def test_topics_of_somebody_else_are_nobodys() -> None:
    topics = Topics("edge")
    assert topics.split("nrt/edge2/rpc/request/stop") == ()
    assert topics.split(topics.request("stop")) == ("rpc", "request", "stop")
    assert node_of("nrt/edge%2Fa/$state") == "edge/a"
    assert node_of("other/edge/$state") == ""


@given(st.binary(max_size=120))
def test_any_bytes_are_a_note_or_a_protocol_error(data: bytes) -> None:
    for payload in (data, b"nL\x01" + data):
        try:
            note = Note.parse(payload, "x")
            packet = link.unpack_packet(note.body, 0, "x")
        except ProtocolError:
            continue
        assert packet.start <= packet.end


def test_a_packet_comes_back_with_its_span_losses_and_origin() -> None:
    packet = Packet(spikes((5, 1, 1), (9, 2, 3)), 0, 10, 123, lost=7, origin="höhe")
    back = link.unpack_packet(link.pack_packet(packet), 456, "x")
    assert (back.start, back.end, back.stamp, back.lost, back.origin) == (0, 10, 456, 7, "höhe")
    assert back.data.tolist() == packet.data.tolist()


def test_a_missing_note_breaks_the_link_and_one_that_comes_again_does_not() -> None:
    order = Order("x")
    assert [order.fresh(Note(Kind.PING, n)) for n in (0, 1, 1, 0, 2)] == [True, True, False, False, True]
    with pytest.raises(NrtError, match="2 messages were lost"):
        order.fresh(Note(Kind.PING, 5))


def test_a_network_comes_back_with_the_same_hash() -> None:
    for network in (small(inputs=4, hidden=5, outputs=3), nrt.Network.load(DIGITS)):
        assert networks.unpack(networks.pack(network)).hash == network.hash


@given(st.binary(max_size=100), st.integers(0, 2_000), st.integers(0, 255))
def test_any_bytes_are_a_network_or_a_config_error(data: bytes, at: int, value: int) -> None:
    network = small(inputs=2, hidden=2, outputs=2)
    packed = bytearray(networks.pack(network))
    packed[at % len(packed)] = value
    for payload in (data, bytes(packed), bytes(packed[:at])):
        try:
            found = networks.unpack(payload)
        except NrtError:
            continue
        assert found.hash == network.hash


def test_errors_of_a_device_come_back_as_what_they_were() -> None:
    violation = Violation("conv1", "neurons", 5, 4, "use fewer")
    for error in (
        DoesNotFit([violation]),
        Unsupported("conv1", "no grouped convolutions"),
        ConfigError("no population 'x'"),
        DeviceBusy("cpu:", "somebody has it"),
    ):
        back = link.error_from(link.error_to(error), "mqtt://host/node/chip")
        assert type(back) is type(error)
        assert "mqtt://" in str(back) or str(back) == str(error)
    assert isinstance(link.error_from(link.error_to(OSError("gone")), "x"), DeviceError)
    assert isinstance(link.error_from({"kind": "DoesNotFit", "violations": 3}, "x"), NrtError)
