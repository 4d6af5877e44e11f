from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import nrt
from nrt import formats
from nrt.clock import now
from nrt.device import Device, Placement
from nrt.network import Network, Population
from nrt.packet import SPIKE, Packet
from nrt.profile import Histogram, Latency, Stopwatch
from nrt.report import Report
from tests.fakes import Script, events

MS = 1_000_000
NETWORK = Network((Population("input", (2, 4, 4)),), (), ("input",), ("input",))
EMPTY = np.empty(0, SPIKE)


def packet(end: int, due: int, start: int | None = None) -> Packet:
    """An input packet of 1 ms of stream that ends at `end` ms and was due at host `due` ms."""
    begin = (end - 1 if start is None else start) * 1_000
    return Packet(events(), begin, end * 1_000, due * MS)


def answer(end: int, out: int, begun: int = 0, done: int = 0) -> Packet:
    """An output packet up to stream `end` ms, on the host at `out` ms."""
    return Packet(EMPTY, (end - 1) * 1_000, end * 1_000, out * MS, begun=begun * MS, done=done * MS)


def told(watch: Stopwatch, ended: int = 0) -> Latency:
    return watch.latency("schedule", ended=ended * MS, step=1_000, device_us={}, clock="chip")


def close(ms: float) -> object:
    """Within the width of a histogram's bucket."""
    return pytest.approx(ms, rel=1 / 128)


def test_a_packets_way_is_told_phase_by_phase() -> None:
    watch = Stopwatch()
    watch.sent(packet(1, due=100), taken=103 * MS, sensed=98 * MS)
    watch.accepted(108 * MS)
    watch.answered(answer(1, out=131, begun=115, done=127), at=170 * MS)
    latency = told(watch)
    phases = {phase.name: phase for phase in latency.phases}
    assert [(name, phases[name].maximum) for name in phases] == [
        ("sensor", 2), ("source", 3), ("submit", 5), ("wait", 7), ("device", 12), ("return", 4), ("user", 39),
    ]  # fmt: skip
    assert {name for name, phase in phases.items() if phase.clock == "chip"} == {"wait", "device", "return"}
    assert latency.maximum == 31
    assert sum(phases[name].maximum for name in ("source", "submit", "wait", "device", "return")) == 31


def test_a_device_that_says_nothing_of_its_times_has_queue_and_line_in_them() -> None:
    watch = Stopwatch()
    watch.sent(packet(1, due=100), taken=100 * MS, sensed=None)
    watch.accepted(110 * MS)
    watch.answered(answer(1, out=130), at=130 * MS)
    phases = {phase.name: phase for phase in told(watch).phases}
    assert list(phases) == ["source", "submit", "device", "user"]
    assert (phases["device"].maximum, phases["device"].clock) == (20, "host")


def test_a_thread_that_begins_before_send_returns_did_not_wait() -> None:
    watch = Stopwatch()
    watch.sent(packet(1, due=100), taken=100 * MS, sensed=None)
    watch.accepted(106 * MS)
    watch.answered(answer(1, out=110, begun=104, done=110), at=110 * MS)
    assert {phase.name: phase.maximum for phase in told(watch).phases}["wait"] == 0


def test_an_output_that_comes_before_send_returned_counts_no_wait_for_room() -> None:
    watch = Stopwatch()
    watch.sent(packet(1, due=100), taken=100 * MS, sensed=None)
    watch.answered(answer(1, out=110), at=110 * MS)
    watch.accepted(120 * MS)
    assert {phase.name: phase.maximum for phase in told(watch).phases}["submit"] == 0


def stalled(deadline: int | None = None) -> Stopwatch:
    """1 kHz for 5 s, answered after 0.2 ms, but nothing happens from 2 s to 2.5 s; then the backlog goes at once."""
    watch = Stopwatch(deadline)
    for k in range(5_000):
        due = (k + 1) * MS
        begins = 2_500 * MS if 2_000 * MS <= due < 2_500 * MS else due
        watch.sent(packet(k + 1, due=k + 1), taken=begins, sensed=None)
        watch.accepted(begins)
        out = begins + 200_000
        watch.answered(Packet(EMPTY, k * 1_000, (k + 1) * 1_000, out), at=out)
    return watch


def test_a_stall_delays_everything_that_was_due_behind_it() -> None:
    latency = told(stalled())
    assert latency.packets == 5_000
    assert latency.p50 == close(0.2)
    assert latency.p99 == close(450.2)  # the 50th latest of 5000: measured from its turn it were 0.2 ms
    assert latency.p999 == close(495.2)
    assert latency.maximum == pytest.approx(500.2)
    assert latency.jitter == pytest.approx(latency.p99 - latency.p50)
    assert latency.iqr == 0
    assert {phase.name: phase.maximum for phase in latency.phases}["source"] == pytest.approx(500)


def test_deadline_misses_are_counted_from_when_packets_were_due() -> None:
    deadline = told(stalled(100_000)).deadline
    assert deadline is not None
    assert (deadline.limit_ms, deadline.missed, deadline.packets) == (100, 401, 5_000)
    assert deadline.worst_ms == pytest.approx(500.2)


def test_a_packet_that_is_never_answered_misses_its_deadline_once_that_is_over() -> None:
    watch = Stopwatch(5_000)
    for k in range(4):
        watch.sent(packet(k + 1, due=k + 1), taken=(k + 1) * MS, sensed=None)
    watch.answered(answer(1, out=2), at=2 * MS)
    early, late = told(watch, ended=5), told(watch, ended=9)
    assert (early.unanswered, late.unanswered) == (3, 3)
    assert early.deadline is not None
    assert late.deadline is not None
    assert (early.deadline.missed, early.deadline.packets) == (0, 1)
    assert (late.deadline.missed, late.deadline.packets, late.deadline.worst_ms) == (2, 3, 7)


def test_the_packet_that_completes_a_step_is_the_cause_of_its_output() -> None:
    watch = Stopwatch()
    for k in range(3):
        watch.sent(packet(k + 1, due=10 * (k + 1)), taken=10 * (k + 1) * MS, sensed=None)
    assert watch.answered(Packet(EMPTY, 0, 2_500, 31 * MS), at=31 * MS) == 30 * MS
    assert watch.answered(Packet(EMPTY, 0, 2_500, 35 * MS), at=35 * MS) is None  # of another population
    assert told(watch).maximum == 1


def test_what_latency_cannot_go_below_is_stated() -> None:
    watch = Stopwatch()
    watch.sent(packet(2, due=1, start=0), taken=MS, sensed=None)
    watch.sent(packet(6, due=1, start=2), taken=MS, sensed=None)
    latency = watch.latency("schedule", ended=0, step=500, device_us={"lead": 5_000}, clock="host")
    assert str(latency.floor) == (
        "before that an event waits up to 3 ms for its packet's end (at most 4 ms) and up to 500 µs for its step's "
        "end; lead adds 5 ms"
    )


@given(st.lists(st.integers(-(10**6), 10**12), min_size=1, max_size=300))
def test_counting_many_values_at_once_is_counting_them_one_by_one(numbers: list[int]) -> None:
    together = Histogram()
    together.record_all(np.array(numbers, np.int64))
    single = Histogram.of(numbers)
    assert together.buckets() == single.buckets()
    assert (together.minimum, together.maximum, together.mean) == (
        single.minimum,
        single.maximum,
        single.mean,
    )


class Late(Device):
    """Answers every packet; the k-th is on the host `delays[k]` ns after it was due. Computes nothing."""

    uri = "test:late"
    timed_by = "a scripted clock"

    def __init__(self, delays: Sequence[int]) -> None:
        self._delays = delays
        self._sent: asyncio.Queue[Packet | None] = asyncio.Queue()

    async def deploy(
        self, network: Network, *, taps: Sequence[str] = (), membranes: Sequence[str] = ()
    ) -> Placement:
        return Placement(self.uri, network.name, ())

    async def reset(self) -> None:
        self._sent = asyncio.Queue()

    async def send(self, packet: Packet) -> None:
        await self._sent.put(packet)

    async def finish(self) -> None:
        await self._sent.put(None)

    async def spikes(self) -> AsyncIterator[Packet]:
        for delay in self._delays:
            sent = await self._sent.get()
            assert sent is not None
            out = sent.stamp + delay
            yield Packet(
                EMPTY, sent.start, sent.end, out, origin="input", begun=out - 3_000, done=out - 1_000
            )

    @property
    def floor(self) -> dict[str, int]:
        return {"being asked": 125}


async def run(delays: Sequence[int], deadline: str | None = None, *, scheduled: bool = True) -> Report:
    packets = [packet(k + 1, due=1_000 + k) for k in range(len(delays))]
    async with nrt.open(Late(delays)) as session:
        await session.deploy(NETWORK)
        return await session.run(Script(packets, scheduled=scheduled), deadline=deadline)


async def test_a_report_tells_latency_of_a_run_phase_by_phase() -> None:
    report = await run([4 * MS] * 90 + [40 * MS] * 10, "5ms")
    latency = report.latency
    assert (latency.since, latency.packets, latency.unanswered) == ("schedule", 100, 0)
    assert (latency.p50, latency.p99) == (close(4), close(40))
    assert [phase.name for phase in latency.phases] == [
        "source",
        "submit",
        "wait",
        "device",
        "return",
        "user",
    ]
    device = next(phase for phase in latency.phases if phase.name == "device")
    assert (device.p50, device.clock) == (close(0.002), "a scripted clock")
    assert latency.deadline is not None
    assert (latency.deadline.missed, latency.deadline.packets, latency.deadline.worst_ms) == (10, 100, 40)
    text = str(report)
    assert "10 of 100 (10.0 %) later than 5 ms, worst 40 ms" in text
    assert "wait, device, return by a scripted clock" in text
    assert (
        "up to 1 ms for its packet's end and up to 1 ms for its step's end; being asked adds 125 µs" in text
    )


async def test_a_recording_played_as_fast_as_possible_is_late_since_it_was_read() -> None:
    assert (await run([MS] * 3, scheduled=False)).latency.since == "read"


async def test_a_report_is_read_back_from_its_json_as_it_was() -> None:
    report = await run([4 * MS] * 5, "5ms")
    again = Report.from_dict(json.loads(report.to_json()))
    assert again.latency == report.latency
    assert again.settings == report.settings
    assert again.to_json() == report.to_json()


@pytest.mark.parametrize("document", [[], {}, {"format": "nrt comparison 1"}, {"format": "nrt report 1"}])
def test_what_is_no_report_is_refused(document: object) -> None:
    with pytest.raises(nrt.ConfigError):
        Report.from_dict(document)


async def test_when_an_event_happened_is_told_by_the_sensors_clock_where_it_is_known() -> None:
    class Sensor(Script):
        def host_time(self, t: int) -> int | None:
            return t * 1_000 - 7 * MS

    packets = [Packet(events(), k * 1_000, (k + 1) * 1_000, (k + 1) * MS) for k in range(3)]
    async with nrt.open(Late([MS] * 3)) as session:
        await session.deploy(NETWORK)
        report = await session.run(Sensor(packets, scheduled=True))
    sensor = report.latency.phases[0]
    assert (sensor.name, sensor.p50, sensor.packets) == ("sensor", 7, 3)


async def test_a_simulator_says_when_it_computed() -> None:
    packets = [Packet(events((k * 1_000, 0, 0, 1)), k * 1_000, (k + 1) * 1_000, now()) for k in range(20)]
    async with asyncio.timeout(60), nrt.open("reference:") as session:
        await session.deploy(NETWORK)
        latency = (await session.run(Script(packets))).latency
    phases = {phase.name: phase for phase in latency.phases}
    assert phases["device"].packets == 20
    assert 0 < phases["device"].mean <= latency.maximum
    assert phases["return"].maximum == 0


async def test_how_late_a_cameras_events_arrive_is_told_through_filter_and_reconnection(
    tmp_path: Path,
) -> None:
    film = tmp_path / "film.es"
    with formats.create(film, "es", (2, 128, 128)) as writer:
        writer.write(events(*((1_000 * k, k % 128, 0, 1) for k in range(200))))
    uri = f"edvs+emu:?plays=file:{film}&reconnect=1s&filter=polarity:on"
    network = Network((Population("input", (2, 128, 128)),), (), ("input",), ("input",))
    async with asyncio.timeout(60), nrt.open("null:") as session:
        await session.deploy(network)
        async with session.stream(uri) as run:
            answers = 0
            async for _ in run:
                answers += 1
                if answers == 5:
                    break
    (sensor,) = [phase for phase in run.report.latency.phases if phase.name == "sensor"]
    assert 1 <= sensor.packets <= run.report.packets
    assert sensor.minimum >= 0
