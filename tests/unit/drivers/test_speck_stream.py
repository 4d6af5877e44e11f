"""How an asynchronous chip keeps promises of time: packets are cut where markers come back."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from nrt.errors import DeviceLost
from nrt.packet import Packet
from nrt_drivers.speck.edge import Int, Marker, unwrapped
from nrt_drivers.speck.stream import DEPTH, START, Flight, Sent, Watched
from tests.unit.drivers.speck_networks import layer

DVS = 13
CORE = 5


def rows(*each: tuple[int, int, int]) -> Int:
    """(layer, number or neuron, time stamp): a marker's number and a neuron's index both lie in x."""
    return np.array([(where, 0, 0, index, t) for where, index, t in each], np.int64)


def flight(offset: int = -100) -> Flight:
    made = Flight({"out": Watched(layer(outputs=(1, 1, 16)), CORE)}, Marker(None))
    made.begin(offset, 0)
    made.receive(rows((DVS, START, 0)), 1)
    return made


def launch(made: Flight, *numbers: int, span: int = 1_000) -> None:
    for number in numbers:
        made.launch(Sent(number, (number - 1) * span, number * span, 0))


def taken(made: Flight) -> list[Packet]:
    """What is ready."""

    async def collect() -> list[Packet]:
        made.end()
        found: list[Packet] = []
        while (packet := await made.next()) is not None:
            found.append(packet)
        return found

    return asyncio.run(collect())


def spikes(packet: Packet) -> list[tuple[int, int]]:
    return [(int(t), int(n)) for t, n in zip(packet.data["t"], packet.data["n"], strict=True)]


def test_a_packet_is_complete_when_its_marker_is_back_and_holds_the_spikes_of_its_time() -> None:
    made = flight()
    launch(made, 1, 2)
    made.receive(rows((CORE, 3, 150), (CORE, 4, 1_099), (CORE, 5, 1_100), (DVS, 1, 1_100)), 77)
    (packet,) = taken(made)
    assert (packet.start, packet.end, packet.stamp, packet.origin) == (0, 1_000, 77, "out")
    assert spikes(packet) == [(50, 3), (999, 4)]


def test_spikes_that_the_last_events_cause_come_in_the_next_packet() -> None:
    made = flight()
    launch(made, 1, 2)
    made.receive(rows((CORE, 5, 1_100), (DVS, 1, 1_101), (CORE, 6, 1_500), (DVS, 2, 2_100)), 1)
    first, second = taken(made)
    assert spikes(first) == []
    assert spikes(second) == [(1_000, 5), (1_400, 6)]


def test_a_board_that_is_behind_still_delivers_what_the_last_events_cause() -> None:
    made = flight()
    launch(made, 1)
    made.launch(Sent(2, 1_000, 2_000, 0, last=True))
    made.receive(rows((DVS, 1, 1_100), (CORE, 6, 1_500), (CORE, 7, 9_100), (DVS, 2, 9_200)), 1)
    _, last = taken(made)
    assert (last.start, last.end) == (1_000, 9_001)
    assert spikes(last) == [(1_400, 6), (9_000, 7)]


def test_a_marker_that_was_lost_is_made_up_for_by_the_next() -> None:
    made = flight()
    launch(made, 1, 2, 3)
    made.receive(rows((CORE, 1, 200), (CORE, 2, 1_200), (DVS, 3, 3_100)), 1)
    assert [spikes(p) for p in taken(made)] == [[(100, 1)], [(1_100, 2)], []]


def test_a_spike_later_than_its_packet_is_moved_to_the_next_and_counted() -> None:
    made = flight()
    launch(made, 1, 2)
    made.receive(rows((DVS, 1, 1_100), (CORE, 7, 1_050), (DVS, 2, 2_100)), 1)
    first, second = taken(made)
    assert spikes(first) == []
    assert spikes(second) == [(1_000, 7)]
    assert made.late == 1


def test_what_was_reported_before_the_run_began_is_of_no_run() -> None:
    made = Flight({"out": Watched(layer(outputs=(1, 1, 16)), CORE)}, Marker(None))
    made.receive(rows((CORE, 1, 5), (DVS, 1, 6)), 1)
    made.begin(-100, 0)
    launch(made, 1)
    made.receive(rows((CORE, 2, 4_000_000_000), (DVS, START, 3), (CORE, 3, 200), (DVS, 1, 1_100)), 1)
    assert [spikes(p) for p in taken(made)] == [[(100, 3)]]


def test_spikes_of_neurons_and_layers_that_do_not_exist_are_counted_not_delivered() -> None:
    made = flight()
    launch(made, 1)
    made.receive(rows((CORE, 99, 200), (4, 1, 300), (CORE, 2, 400), (DVS, 1, 1_100), (DVS, 200, 1_101)), 1)
    assert [spikes(p) for p in taken(made)] == [[(300, 2)]]
    assert made.strange == 3


def test_time_stamps_of_32_bits_wrap_and_the_stream_goes_on() -> None:
    near = (1 << 32) - 50
    assert unwrapped(np.array([near, 10, 60]), near - 5).tolist() == [near, (1 << 32) + 10, (1 << 32) + 60]
    assert unwrapped(np.array([near]), (1 << 32) + 10).tolist() == [near]


def test_the_delay_of_a_marker_is_how_far_the_board_is_behind() -> None:
    made = flight()
    launch(made, 1, 2)
    made.receive(rows((DVS, 1, 1_150), (DVS, 2, 2_500)), 1)
    assert made.lag == 400


async def test_senders_wait_while_nobody_takes_what_is_ready() -> None:
    made = flight()
    launch(made, *range(1, DEPTH + 1))
    made.receive(rows(*((DVS, k, k * 1_000 + 100) for k in range(1, DEPTH + 1))), 1)
    waiting = asyncio.create_task(made.room(), name="waiting")
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    await made.next()
    await asyncio.wait_for(waiting, 10)


async def test_a_failure_comes_after_everything_that_was_ready_and_again_to_whoever_asks_again() -> None:
    made = flight()
    launch(made, 1)
    made.receive(rows((DVS, 1, 1_100)), 1)
    made.end(DeviceLost("speck+emu:", "gone"))
    assert (await made.next()) is not None
    for _ in range(2):
        with pytest.raises(DeviceLost):
            await made.next()


@pytest.mark.parametrize(("back", "late"), [(1_100, 0), (1_350, 250)])
def test_a_packet_says_when_the_board_had_come_to_it_and_was_done(back: int, late: int) -> None:
    made = flight()
    due = 5_000_000
    made.launch(Sent(1, 0, 1_000, 0, due=due, begun=due))
    made.receive(rows((DVS, 1, back)), due + 9_000_000)
    (packet,) = taken(made)
    assert (packet.begun, packet.done) == (due, due + 1_000 * late)


def test_a_board_whose_clock_ran_ahead_was_done_at_the_latest_when_its_answer_came() -> None:
    made = flight()
    made.launch(Sent(1, 0, 1_000, 0, due=5_000_000, begun=5_000_000))
    made.receive(rows((DVS, 1, 1_350)), 5_100_000)
    (packet,) = taken(made)
    assert packet.done == packet.stamp == 5_100_000
